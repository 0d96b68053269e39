import { LIMITS } from '@chronicleweaver/protocol';

/**
 * The one way in which each kind of value is written as JSON. An event's id is a digest of these texts, so a change here
 * would make every retry that spans it a second event.
 */

/** Names to the JSON texts of their values. Of a name that comes twice, the last value counts. */
export type Attributes = ReadonlyMap<string, string>;

export const NO_ATTRIBUTES: Attributes = new Map();

/** How deep lists and maps may nest within a value, so that the event does not exceed the depth of a payload (EVT-8). */
export const VALUE_DEPTH_MAX = LIMITS.payloadDepthMax - 3;

/** An empty value (AnyValue without a field). */
export const NOTHING = 'null';

/** Half surrogates, which JSON can express and UTF-8 cannot, become U+FFFD like other bytes that are no text. */
export function stringText(value: string): string {
  return JSON.stringify(value.toWellFormed());
}

/** Always with a decimal point or an exponent, unlike an integer. What JSON has no number for is a string, as in protobuf's JSON. */
export function doubleText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return Number.isInteger(value) && !text.includes('e') ? `${text}.0` : text;
}

/** With every digit, also beyond 2^53. */
export function integerText(value: bigint | string): string {
  return String(value);
}

/** As base64. */
export function bytesText(value: Uint8Array): string {
  return `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`;
}

export function listText(values: readonly string[]): string {
  return `[${values.join(',')}]`;
}

export function mapText(attributes: Attributes): string {
  let text = '{';
  for (const [name, value] of attributes) {
    if (text.length > 1) text += ',';
    text += `${stringText(name)}:${value}`;
  }
  return `${text}}`;
}

/** What an attribute says, as text: a string itself, anything else as JSON; empty if there is no such attribute. */
export function textOf(value: string | undefined): string {
  if (value === undefined || value === NOTHING) return '';
  return value.startsWith('"') ? (JSON.parse(value) as string) : value;
}
