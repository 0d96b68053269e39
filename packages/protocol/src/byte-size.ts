/**
 * Sizes as people write them: a whole number and a unit, decimal (`10GB`) or binary (`512MiB`), or of bytes alone (`1000`, `1000B`).
 */
const FORM = /^(\d{1,16}) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$/;

const UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** What the wire accepts as a size, for use in messages. */
export const BYTE_SIZE_EXPECTED = 'a number of bytes, or a size such as 10GB or 512MiB';

/** Bytes; undefined if the text is not such a size, or is zero, or is too large to be counted exactly. */
export function parseByteSize(text: string): number | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * UNITS_BYTES[match[2] ?? 'B']!;
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}
