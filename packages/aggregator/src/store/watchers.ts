/** The listeners for one kind of a store's news. */
export class Watchers<News> {
  readonly #listeners = new Set<(news: News) => void>();

  /** @returns a function that removes the listener */
  add(listener: (news: News) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(news: News): void {
    for (const listener of this.#listeners) listener(news);
  }
}
