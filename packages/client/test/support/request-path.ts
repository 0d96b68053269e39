/** The path of what a `fetch` is asked for. */
export function pathOfRequest(input: string | URL | Request): string {
  return new URL(input instanceof Request ? input.url : input).pathname;
}
