/** The page of `GET /metrics`: for each name its samples, in the order of the page. */
export type Exposition = ReadonlyMap<string, readonly Sample[]>;

interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  /** The value as it was written. */
  readonly text: string;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus' text format 0.0.4. Lines that it does not know are passed over. */
export function readExposition(page: string): Exposition {
  const found = new Map<string, Sample[]>();
  for (const line of page.split('\n')) {
    const [, name, labels = '', text] = line.startsWith('#') ? [] : (LINE.exec(line) ?? []);
    if (name === undefined || text === undefined) continue;
    const samples = found.get(name);
    const sample = { labels: labelsOf(labels), text };
    if (samples === undefined) found.set(name, [sample]);
    else samples.push(sample);
  }
  return found;
}

function labelsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(LABEL)].map(([, name, value]) => [
      name!,
      value!.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)),
    ]),
  );
}

/** The value of the sample with these labels, as it was written; empty if there is none. */
export function sampleText(
  page: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): string {
  const wanted = Object.entries(labels);
  return (
    page.get(name)?.find((one) => wanted.every(([label, is]) => one.labels.get(label) === is))?.text ?? ''
  );
}

/** The values of a metric by what they have for one label: quicker than to look for a thousand of them one by one. */
export function samplesBy(page: Exposition, name: string, label: string): ReadonlyMap<string, string> {
  return new Map((page.get(name) ?? []).map(({ labels, text }) => [labels.get(label) ?? '', text]));
}

/** Near enough to draw and compare with. NaN if there is no such sample. */
export function sampleValue(
  page: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const text = sampleText(page, name, labels);
  return text === '' ? NaN : Number(text);
}

/** How many of a histogram's observations were at most so large: bounds in ascending order, the last one Infinity. */
export interface Buckets {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

export function bucketsOf(page: Exposition, name: string): Buckets {
  const samples = page.get(`${name}_bucket`) ?? [];
  return {
    bounds: samples.map(({ labels }) => Number((labels.get('le') ?? '').replace('+Inf', 'Infinity'))),
    counts: samples.map(({ text }) => Number(text)),
  };
}

/**
 * The quantile of the observations between two looks at a histogram, by Prometheus' rule: evenly spread within a bucket, and
 * the lower bound of the last one. Undefined if there were none, or if the histogram began anew.
 */
export function quantileBetween(
  before: Buckets | undefined,
  now: Buckets,
  quantile: number,
): number | undefined {
  const counts = now.counts.map((count, i) => count - (before?.counts[i] ?? 0));
  const total = counts.at(-1) ?? 0;
  if (total <= 0 || counts.some((count) => count < 0)) return undefined;
  const rank = quantile * total;
  const i = counts.findIndex((count) => count >= rank);
  const lower = i === 0 ? 0 : now.bounds[i - 1]!;
  const upper = now.bounds[i]!;
  if (upper === Infinity) return lower;
  const below = i === 0 ? 0 : counts[i - 1]!;
  const within = counts[i]! - below;
  return within === 0 ? upper : lower + (upper - lower) * ((rank - below) / within);
}
