/** A field's name in braces, and perhaps what stands for it where it is missing: `{service}`, `{service|unknown}`. */
export interface Placeholder {
  readonly field: string;
  /** Undefined if it has none; it may be empty. */
  readonly fallback: string | undefined;
}

/** Text with placeholders, of which the names of events are made. */
export class Template {
  readonly text: string;
  readonly placeholders: readonly Placeholder[];
  /** One more than placeholders: what stands before, between and behind them. */
  readonly #texts: readonly string[];

  /** @param text which `templateFault` accepts */
  constructor(text: string) {
    this.text = text;
    const parts = text.split(PLACEHOLDER);
    this.#texts = parts.filter((_, i) => i % 2 === 0);
    this.placeholders = parts.filter((_, i) => i % 2 === 1).map(placeholderOf);
  }

  /** @param filling what takes a placeholder's place, which is given with its number */
  fill(filling: (placeholder: Placeholder, place: number) => string): string {
    let text = this.#texts[0]!;
    for (const [place, placeholder] of this.placeholders.entries()) {
      text += filling(placeholder, place) + this.#texts[place + 1]!;
    }
    return text;
  }
}

const PLACEHOLDER = /\{([^{}]+)\}/;

function placeholderOf(text: string): Placeholder {
  const bar = text.indexOf('|');
  return bar < 0
    ? { field: text, fallback: undefined }
    : { field: text.slice(0, bar), fallback: text.slice(bar + 1) };
}

/** What is wrong with a template, or undefined. */
export function templateFault(text: string, charsMax: number): string | undefined {
  if (/[{}]/.test(text.replaceAll(new RegExp(PLACEHOLDER, 'g'), ''))) return 'a brace has no partner';
  if (new Template(text).placeholders.some(({ field }) => field === '')) return 'a placeholder has no name';
  const isShort = shortened(text, charsMax) === text;
  return isShort ? undefined : `it is longer than ${charsMax} characters`;
}

/** The first characters (code points). */
export function shortened(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  let chars = 0;
  let end = 0;
  for (const char of text) {
    if ((chars += 1) > charsMax) break;
    end += char.length;
  }
  return text.slice(0, end);
}
