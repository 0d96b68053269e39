import { type Terminal, harmless } from './terminal.ts';

/** An event as the text that arrived. It is parsed only when needed, with numbers kept digit for digit. */
export interface EventText {
  readonly text: string;
}

/** A line for a person: offset, time, topic, source, the payload's message, and the rest of the payload. */
export function eventLine(terminal: Terminal, { text }: EventText): string {
  const { offset, timestamp, topic, source, payload } = parseExactly(text);
  const { message, ...rest } = payload;
  const said = typeof message === 'string' ? [harmless(message)] : [];
  const others = Object.keys(typeof message === 'string' ? rest : payload).length;
  return [
    terminal.style('dim', JSON.stringify(offset)),
    terminal.style('dim', harmless(timestamp)),
    terminal.style(colourOf(topic), harmless(topic)),
    terminal.style('dim', harmless(source)),
    ...said,
    ...(others > 0
      ? [terminal.style('dim', harmless(JSON.stringify(said.length > 0 ? rest : payload)))]
      : []),
  ].join(' ');
}

/** The event as JSON over several lines. */
export function eventPage({ text }: EventText): string {
  return JSON.stringify(parseExactly(text), null, 2)
    .split('\n')
    .map((line) => harmless(line))
    .join('\n');
}

interface Parsed {
  event_id: string;
  topic: string;
  source: string;
  payload: Record<string, unknown>;
  timestamp: string;
  /** Prints as a number exactly as it was written. */
  offset: unknown;
}

declare global {
  interface JSON {
    // Not in TypeScript's library yet: https://tc39.es/proposal-json-parse-with-source/
    rawJSON(text: string): object;
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
    ): unknown;
  }
}

/** JSON.stringify of its result writes every number as it is in the text. */
function parseExactly(text: string): Parsed {
  const parsed = JSON.parse(text, (_, value, { source }) =>
    typeof value === 'number' ? JSON.rawJSON(source!) : value,
  );
  return parsed as Parsed;
}

const COLOURS = [
  'cyan',
  'green',
  'yellow',
  'magenta',
  'blue',
  'cyanBright',
  'greenBright',
  'magentaBright',
] as const;

/** Always the same colour for the same topic. */
function colourOf(topic: string): (typeof COLOURS)[number] {
  let sum = 0;
  for (const char of topic) sum = (sum * 31 + char.codePointAt(0)!) % 1_000_003;
  return COLOURS[sum % COLOURS.length]!;
}
