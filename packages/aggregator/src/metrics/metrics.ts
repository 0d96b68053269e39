import { VERSION } from '../version.ts';
import { Exposition, type Format, labels } from './exposition.ts';
import type { Section } from './section.ts';

/**
 * The page of metrics. In: requests for it, and what its sections have counted and know. Out: the page in one of the two formats.
 *
 * Nothing is summed up before somebody asks. What is counted meanwhile costs each request and each commit some additions.
 * Whoever asks while a page of that format is being made gets the same one.
 */
export class Metrics {
  readonly #sections: Section[] = [];
  readonly #store: string;
  readonly #making = new Map<Format, Promise<string>>();

  /** @param store the kind of the store */
  constructor(store: string) {
    this.#store = store;
  }

  /** Adds a section at the end of the page, and returns it. */
  add<S extends Section>(section: S): S {
    this.#sections.push(section);
    return section;
  }

  page(format: Format): Promise<string> {
    let page = this.#making.get(format);
    if (page === undefined) {
      page = this.#make(format).finally(() => this.#making.delete(format));
      this.#making.set(format, page);
    }
    return page;
  }

  close(): void {
    for (const section of this.#sections) section.close?.();
  }

  async #make(format: Format): Promise<string> {
    const read = await Promise.all(this.#sections.map(async (section) => (await section.read?.()) ?? true));
    const out = new Exposition(format);
    out.gauge('chronicleweaver_build_info', 'The version of the service, and the kind of its store.', [
      [labels({ version: VERSION, store: this.#store }), 1],
    ]);
    out.gauge(
      'chronicleweaver_metrics_part_up',
      '1 if this part of the page is here; 0 if the store did not tell in time.',
      this.#sections.map(({ part }, i) => [labels({ part }), read[i] ? 1 : 0]),
    );
    for (const [i, section] of this.#sections.entries()) {
      if (read[i]) await section.write(out);
      await out.pause();
    }
    return out.end();
  }
}
