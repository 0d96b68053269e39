/** What the tests use of npm's event-source-polyfill, which brings no types; those of others need a browser's library. */
declare module 'event-source-polyfill' {
  export class EventSourcePolyfill {
    constructor(url: string);
    addEventListener(type: 'message' | 'open', listener: (event: { data: string }) => void): void;
    close(): void;
  }
}
