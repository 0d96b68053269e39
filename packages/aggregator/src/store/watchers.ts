/** Those who watch a store for some kind of news. */
export class Watchers<News> {
  readonly #listeners = new Set<(news: News) => void>();

  /** @returns what ends it */
  add(listener: (news: News) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(news: News): void {
    for (const listener of this.#listeners) listener(news);
  }
}
