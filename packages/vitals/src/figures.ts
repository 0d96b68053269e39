/** Numbers and times for people. What was sent is only ever grouped, never rounded; what is rounded here was computed here. */

/** Digits in groups of three, all of them kept: `12345678901234567890` as `12,345,678,901,234,567,890`. */
export function grouped(digits: string): string {
  if (!/^-?\d+$/.test(digits)) return digits;
  return digits.replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 event`, `1,234 events`. */
export function countOf(digits: string, one: string, many: string): string {
  return `${grouped(digits)} ${digits === '1' ? one : many}`;
}

/** A rate that was computed, per second. */
export function rateText(perSecond: number | undefined): string {
  if (perSecond === undefined || !Number.isFinite(perSecond)) return '–';
  if (perSecond === 0) return '0';
  if (perSecond < 10) return perSecond.toFixed(1);
  return grouped(String(Math.round(perSecond)));
}

/** A size, rounded: `1.5 MB`. */
export function sizeText(bytes: number): string {
  if (!Number.isFinite(bytes)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = bytes;
  let i = 0;
  while (size >= 1000 && i < units.length - 1) {
    size /= 1000;
    i += 1;
  }
  return `${i === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[i]}`;
}

/** A short time, in seconds: `3.2 ms`. */
export function secondsText(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '–';
  const ms = seconds * 1000;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${seconds.toFixed(1)} s`;
}

/** How long something has lasted, in whole seconds: `2 d 3 h`. */
export function spanText(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
