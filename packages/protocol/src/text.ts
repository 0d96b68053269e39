/**
 * How bytes become text, the same for every body and for every file that a person writes. The text is UTF-8. A byte
 * order mark at its beginning, which some editors write, is ignored (RFC 8259, 8.1). UTF-16 is refused by name, so
 * that its author knows what to change.
 */

/** The length of the byte order mark at the beginning of the text: 3, or 0 if there is none. */
export function byteOrderMarkLength(bytes: Uint8Array): 0 | 3 {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

/** The same mark in decoded text. */
export const BYTE_ORDER_MARK = '\ufeff';

/** Whether the bytes begin with the mark of UTF-16, in either byte order. UTF-8 never begins that way. */
export function isUtf16(bytes: Uint8Array): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}

/** Describes bytes that are not UTF-8; the text belongs after the name of the body or file. */
export function encodingFault(bytes: Uint8Array): string {
  return isUtf16(bytes) ? 'is UTF-16' : 'is not UTF-8';
}

/** A file is not text. The message belongs after the file's name. */
export class TextError extends Error {
  override name = 'TextError';
}

/** The text of a file, without its byte order mark. Throws a TextError if it is not UTF-8 or contains a NUL. */
export function decodeText(bytes: Uint8Array): string {
  if (isUtf16(bytes)) throw new TextError('is UTF-16: save it as UTF-8');
  // ASCII text in UTF-16 without a mark is valid UTF-8, with a NUL in each character.
  if (bytes.includes(0)) throw new TextError('has NUL bytes, as UTF-16 has: save it as UTF-8');
  const text = decoded(bytes);
  if (text === undefined)
    throw new TextError(`is not UTF-8 in line ${firstBadLine(bytes)}: save it as UTF-8`);
  return text;
}

const LINE_FEED = 0x0a;

/** A line feed is never part of another character, so each line can be judged by itself. */
function firstBadLine(bytes: Uint8Array): number {
  let start = 0;
  for (let line = 1; ; line++) {
    const feed = bytes.indexOf(LINE_FEED, start);
    if (feed < 0 || decoded(bytes.subarray(start, feed)) === undefined) return line;
    start = feed + 1;
  }
}

/** Undefined if the bytes are not UTF-8. Drops a byte order mark. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
