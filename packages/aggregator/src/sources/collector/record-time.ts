import { parseTimestamp } from '@chronicleweaver/protocol';
import { secondsText } from '../../records/time-text.ts';

/** A time as an event has it. */
export interface RecordTime {
  /** As EVT-7 takes it, with every digit that came. */
  readonly text: string;
  /** Whole milliseconds since 1970. */
  readonly ms: number;
}

/** The time of a record that has none. The time of its arrival would differ with each retry. */
export const NO_TIME: RecordTime = { text: '1970-01-01T00:00:00Z', ms: 0 };

/**
 * The time that a value means; undefined if it means none. Strings are as in EVT-7, or digits. Numbers count from 1970, in seconds,
 * milliseconds, microseconds or nanoseconds, which their size tells apart for all times from March 1973 to the year 5138.
 *
 * @param json the JSON of the value, without whitespace between tokens
 */
export function timeOf(json: string): RecordTime | undefined {
  const isString = json.startsWith('"');
  const text = isString ? json.slice(1, -1) : json;
  const number = NUMBER.exec(text);
  if (number !== null) return numberTime(number[1]!, number[2] ?? '', Number(number[3] ?? 0));
  if (!isString) return undefined;
  // A time has no characters that need escapes.
  const instant = parseTimestamp(text);
  return instant && { text, ms: instant.epochMs };
}

/** Java's libraries write times as 1.761645600123E12. */
const NUMBER = /^(\d+)(?:\.(\d+))?(?:[eE]\+?(\d{1,2}))?$/;

/** The most digits before the point of a number of seconds, and how many digits more those of each finer unit have. */
const SECONDS_DIGITS = 11;
const UNIT_DIGITS = 3;
const NANOSECONDS_DIGITS = SECONDS_DIGITS + 3 * UNIT_DIGITS;

/** Decimals of a second that a timestamp has room for. */
const DECIMALS_MAX = 40;

function numberTime(digits: string, decimals: string, exponent: number): RecordTime | undefined {
  const shifted = digits + decimals.padEnd(exponent, '0');
  const point = shifted.length - Math.max(0, decimals.length - exponent);
  const whole = shifted.slice(0, point).replace(/^0+(?=\d)/, '');
  const all = whole + shifted.slice(point);
  if (whole.length > NANOSECONDS_DIGITS) return undefined;
  const unit = Math.max(0, Math.ceil((whole.length - SECONDS_DIGITS) / UNIT_DIGITS));
  const places = all.length - whole.length + unit * UNIT_DIGITS;
  const padded = all.padStart(places + 1, '0');
  const seconds = Number(padded.slice(0, padded.length - places));
  const fraction = padded.slice(padded.length - places);
  if (fraction.length > DECIMALS_MAX) return undefined;
  const text = `${secondsText(seconds)}${fraction === '' ? '' : `.${fraction}`}Z`;
  return { text, ms: seconds * 1000 + Number(fraction.slice(0, 3).padEnd(3, '0')) };
}
