import { noteOf } from '../audit-store.ts';
import { type KeptSource, type PutSource, type SourceStore, outcomeOfPut } from '../source-store.ts';
import type { MemoryAudit } from './audit.ts';

export class MemorySources implements SourceStore {
  readonly #audit: MemoryAudit;
  readonly #definitions = new Map<string, string>();

  constructor(audit: MemoryAudit) {
    this.#audit = audit;
  }

  async list(): Promise<readonly KeptSource[]> {
    return this.find([...this.#definitions.keys()].toSorted());
  }

  async find(names: readonly string[]): Promise<readonly KeptSource[]> {
    return names.flatMap((name) => {
      const definition = this.#definitions.get(name);
      return definition === undefined ? [] : [{ name, definition }];
    });
  }

  async put({ name, definition }: KeptSource, by: string | null): Promise<PutSource> {
    const outcome = outcomeOfPut(this.#definitions.get(name), definition, this.#definitions.size);
    if (outcome === 'same' || outcome === 'full') return outcome;
    this.#definitions.set(name, definition);
    await this.#audit.note([noteOf('source_set', by, { source: name })]);
    return outcome;
  }

  async remove(name: string, by: string | null): Promise<boolean> {
    const wasThere = this.#definitions.delete(name);
    if (wasThere) await this.#audit.note([noteOf('source_deleted', by, { source: name })]);
    return wasThere;
  }
}
