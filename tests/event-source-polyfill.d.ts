/** The part of npm's event-source-polyfill that the tests use. It has no types, and third-party ones need the DOM library. */
declare module 'event-source-polyfill' {
  export class EventSourcePolyfill {
    constructor(url: string);
    addEventListener(type: 'message' | 'open', listener: (event: { data: string }) => void): void;
    close(): void;
  }
}
