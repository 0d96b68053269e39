/** The text formats that Prometheus reads. They differ in the names of counters and in how the page ends. */
export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** A value alone, or one for each set of labels, which `labels` has written. */
export type Samples = number | Iterable<readonly [labels: string, value: number]>;

/** How many values lay in each range: up to and including each bound, and above the last. */
export interface Distribution {
  /** Ascending. */
  readonly bounds: readonly number[];
  /** One more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** How long the page is written before others get the thread, milliseconds. */
const SLICE_MS = 5;

/**
 * A page of metrics while it is written, one family after another. Both formats have the same series.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
 */
export class Exposition {
  readonly format: Format;
  #text = '';
  #sliceBeganMs = performance.now();

  constructor(format: Format) {
    this.format = format;
  }

  /** @param name ends in `_total` */
  counter(name: string, help: string, samples: Samples): void {
    // OpenMetrics names the family without the suffix of its samples.
    this.#head('counter', this.format === 'openmetrics' ? name.slice(0, -'_total'.length) : name, help);
    this.#samples(name, samples);
  }

  gauge(name: string, help: string, samples: Samples): void {
    this.#head('gauge', name, help);
    this.#samples(name, samples);
  }

  histogram(name: string, help: string, distribution: Distribution): void {
    this.histograms(name, help, [[{}, distribution]]);
  }

  /** One histogram for each set of labels. */
  histograms(
    name: string,
    help: string,
    distributions: Iterable<readonly [LabelValues, Distribution]>,
  ): void {
    this.#head('histogram', name, help);
    for (const [values, { bounds, counts, sum }] of distributions) {
      let count = 0;
      for (const [i, bound] of [...bounds, Infinity].entries()) {
        count += counts[i]!;
        this.#text += `${name}_bucket${labels({ ...values, le: boundText(bound) })} ${count}\n`;
      }
      this.#text += `${name}_sum${labels(values)} ${valueText(sum)}\n${name}_count${labels(values)} ${count}\n`;
    }
  }

  /** Lets others have the thread if this page has had it for a while. Call it between long families. */
  async pause(): Promise<void> {
    if (performance.now() < this.#sliceBeganMs + SLICE_MS) return;
    await new Promise(setImmediate);
    this.#sliceBeganMs = performance.now();
  }

  /** The page, complete. */
  end(): string {
    return this.format === 'openmetrics' ? `${this.#text}# EOF\n` : this.#text;
  }

  #head(type: string, family: string, help: string): void {
    this.#text += `# HELP ${family} ${help}\n# TYPE ${family} ${type}\n`;
  }

  #samples(name: string, samples: Samples): void {
    if (typeof samples === 'number') this.#text += `${name} ${valueText(samples)}\n`;
    else for (const [set, value] of samples) this.#text += `${name}${set} ${valueText(value)}\n`;
  }
}

type LabelValues = Readonly<Record<string, string>>;

/** Writes labels, like `{code="queue_full"}`; nothing for none. Their values may be any text, their names are ours. */
export function labels(values: LabelValues): string {
  const pairs = Object.entries(values).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function valueText(value: number): string {
  return Number.isFinite(value) ? `${value}` : boundText(value);
}

/** OpenMetrics wants `1.0`. The other format takes it too, and so a bucket is the same series in both. */
function boundText(bound: number): string {
  if (bound === Infinity) return '+Inf';
  if (bound === -Infinity) return '-Inf';
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}

/** Which format the header `Accept` prefers. Whoever names neither gets Prometheus' own, which people can read. */
export function formatFor(accept = ''): Format {
  let [openMetrics, text] = [0, 0];
  for (const range of accept.toLowerCase().split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim());
    const quality = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? 1);
    if (type === 'application/openmetrics-text') openMetrics = Math.max(openMetrics, quality);
    else if (type === 'text/plain') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'prometheus';
}
