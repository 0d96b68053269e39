import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyRecord } from '../../src/access/key-file.ts';
import { type Scope, tempFolder } from './temp-folder.ts';

type Rights = Omit<KeyRecord, 'name' | 'secret_sha256'>;

/** A file of keys in its own folder. A key's secret is `secret-of-` and its name. */
export class TestKeys {
  readonly path: string;

  constructor(t: Scope, keys: Readonly<Record<string, Rights>>) {
    this.path = join(tempFolder(t), 'keys.json');
    this.write(keys);
  }

  write(keys: Readonly<Record<string, Rights>>): void {
    const records = Object.entries(keys).map(([name, rights]) => ({
      name,
      secret_sha256: createHash('sha256').update(secretOf(name)).digest('hex'),
      ...rights,
    }));
    writeFileSync(this.path, JSON.stringify({ keys: records }));
  }
}

/** The headers of a request with this key. */
export function withKey(name: string): { authorization: string } {
  return { authorization: `Bearer ${secretOf(name)}` };
}

function secretOf(name: string): string {
  return `secret-of-${name}`;
}
