import { LIMITS } from './limits.ts';

/**
 * Lengths of time as people write them: a whole number and a unit (`90d`, `12h`, `30m`, `45s`, `2w`), several from the longest
 * unit to the shortest (`1d12h`), or ISO 8601 (`P30D`, `PT12H`, `P1DT12H`). Months and years are refused, because they differ in
 * length, and so are decimals and signs. The libraries that read durations take parts of a text that they understand, or units
 * of any length, so each would need these forms around it to be strict.
 */
const SHORT_FORM = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/;
const ISO_FORM = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

/** Weeks, days, hours, minutes, seconds in milliseconds, as in the forms. */
const UNITS_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1000] as const;

/** What the wire accepts as a duration, for use in messages. */
export const DURATION_EXPECTED = `a duration from 1s to ${LIMITS.durationDaysMax}d, such as 90d, 12h, 30m, 45s, 2w or P30D`;

/** Milliseconds; undefined if the text is not such a duration, or longer than any may be, or nothing at all. */
export function parseDuration(text: string): number | undefined {
  const match = SHORT_FORM.exec(text) ?? ISO_FORM.exec(text);
  if (match === null) return undefined;
  const ms = UNITS_MS.reduce((sum, unitMs, i) => sum + Number(match[i + 1] ?? 0) * unitMs, 0);
  return ms > 0 && ms <= LIMITS.durationDaysMax * 86_400_000 ? ms : undefined;
}

/** The one way in which answers write a duration of whole seconds: days, hours, minutes and seconds, such as `30d` or `1d12h`. */
export function formatDuration(durationMs: number): string {
  let rest = durationMs;
  let text = '';
  for (const [unit, unitMs] of [
    ['d', UNITS_MS[1]],
    ['h', UNITS_MS[2]],
    ['m', UNITS_MS[3]],
    ['s', UNITS_MS[4]],
  ] as const) {
    const whole = Math.floor(rest / unitMs);
    if (whole > 0) text += `${whole}${unit}`;
    rest -= whole * unitMs;
  }
  return text;
}
