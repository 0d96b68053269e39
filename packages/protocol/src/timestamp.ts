import { LIMITS } from './limits.ts';

/**
 * ISO 8601 times, as the wire accepts them: the calendar date in its extended form (`2025-10-28`), alone or followed
 * by `T`, `t` or one space and a time (`10:00`, `10:00:00`, any number of decimals after `.` or `,`), then no zone
 * (which means UTC), `Z`, `z`, `+07:00`, `+0700` or `+07`. Week and ordinal dates, the basic form and 24:00 are
 * refused. Second 60 is accepted in minute 59 (a leap second, RFC 3339 appendix D).
 */
const FORM =
  /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?)?$/;

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** What the wire accepts as a time, for use in messages. */
export const TIMESTAMP_EXPECTED = 'an ISO 8601 time such as 2025-10-28T10:00:00Z';

/**
 * A point in time, with every digit that was sent. Second 60 comes after all of second 59 and before the next minute,
 * and its decimals are ordered: 23:59:59.999 < 23:59:60 < 23:59:60.5 < 00:00:00.
 */
export interface Instant {
  /**
   * Whole milliseconds since 1970-01-01T00:00:00Z, finer digits cut off; second 60 has the last millisecond of second
   * 59.
   */
  readonly epochMs: number;
  /**
   * The rest within that millisecond: its decimals without trailing zeros, which sort as text. For second 60 it is
   * LEAP, which sorts after any digit, and all decimals of that second.
   */
  readonly finer: string;
}

const LEAP = ':';

/** Below 0 if `a` is earlier than `b`, 0 if they are the same instant, above 0 if it is later. */
export function compareInstants(a: Instant, b: Instant): number {
  if (a.epochMs !== b.epochMs) return a.epochMs - b.epochMs;
  return a.finer < b.finer ? -1 : a.finer > b.finer ? 1 : 0;
}

/** The first whole millisecond since 1970 that is not before the instant. */
export function firstMsFrom({ epochMs, finer }: Instant): number {
  return finer === '' ? epochMs : epochMs + 1;
}

/**
 * The instant that the text names, or `undefined` if the text is not such a time, or names a day, an hour or a zone
 * that does not exist (`2025-02-30`). Years run from 0000 to 9999.
 */
export function parseTimestamp(text: string): Instant | undefined {
  if (text.length > LIMITS.timestampCharsMax) return undefined;
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const year = Number(match[1]);
  const month = Number(match[2]);
  const day = Number(match[3]);
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;

  const hour = Number(match[4] ?? 0);
  const minute = Number(match[5] ?? 0);
  const second = Number(match[6] ?? 0);
  if (hour > 23 || minute > 59 || second > 60 || (second === 60 && minute !== 59)) return undefined;
  const decimals = (match[7] ?? '').replace(/0+$/, '');
  const isLeap = second === 60;
  const millis = isLeap ? 59_999 : second * 1000 + Number(decimals.slice(0, 3).padEnd(3, '0'));

  const zoneHours = Number(match[10] ?? 0);
  const zoneMinutes = Number(match[11] ?? 0);
  if (zoneHours > 23 || zoneMinutes > 59) return undefined;
  const zoneSign = match[9] === '-' ? -1 : 1;

  // Date.UTC reads the years 0 to 99 as 1900 to 1999; 400 years are a whole cycle of the calendar.
  const dayStart = Date.UTC(year + 400, month - 1, day) - CYCLE_MS;
  const minutes = hour * 60 + minute - zoneSign * (zoneHours * 60 + zoneMinutes);
  return {
    epochMs: dayStart + minutes * 60_000 + millis,
    finer: isLeap ? LEAP + decimals : decimals.slice(3),
  };
}

const CYCLE_MS = 146_097 * 86_400_000;

function daysInMonth(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : MONTH_DAYS[month - 1]!;
}
