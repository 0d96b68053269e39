import { JsonScanner, JsonSyntaxError, TooDeep } from './json-scanner.ts';

/** Reads JSON that is to stand in a payload. */
export class CompactJson extends JsonScanner {
  /**
   * The bytes without the whitespace between their tokens, if they are one JSON value that a payload may contain, and no deeper
   * than that; otherwise null. They must be valid UTF-8. The call consumes them, and the result is a part of them.
   */
  compact(bytes: Buffer): Buffer | null {
    this.begin(bytes);
    try {
      this.value(0);
      const isWhole = this.peek() === -1 && this.fault === null;
      return isWhole ? bytes.subarray(0, this.write) : null;
    } catch (error) {
      if (error instanceof JsonSyntaxError || error instanceof TooDeep) return null;
      throw error;
    }
  }
}
