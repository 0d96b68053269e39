/** One message of a stream. `data` is one line, as the service sends it [STR-3]. */
export interface SseMessage {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
}

/** Puts Server-Sent Events together from pieces of text (WHATWG HTML, 9.2.6). */
export class SseLines {
  #rest = '';
  #message: Record<string, string> = {};

  /** The messages that end in this piece. */
  take(piece: string): SseMessage[] {
    const whole: SseMessage[] = [];
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop()!;
    for (const ended of lines) {
      const line = ended.endsWith('\r') ? ended.slice(0, -1) : ended;
      if (line === '') {
        whole.push(this.#message);
        this.#message = {};
        continue;
      }
      const colon = line.indexOf(':');
      // A comment begins with the colon.
      if (colon > 0) this.#message[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, '');
    }
    return whole;
  }
}
