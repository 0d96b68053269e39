import { inspect, styleText } from 'node:util';

/** The numbers that pino uses for levels, and how they look. */
const LEVELS: Readonly<Record<number, readonly [name: string, style: 'dim' | 'green' | 'yellow' | 'red']>> = {
  10: ['trace', 'dim'],
  20: ['debug', 'dim'],
  30: ['info', 'green'],
  40: ['warn', 'yellow'],
  50: ['error', 'red'],
  60: ['fatal', 'red'],
};

/** What a person does not look for in a terminal; the JSON has it. The start alone shows the pid, for signals to the service. */
const LEFT_OUT = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err']);

/**
 * A line of the log for a person at a terminal: when, what, then the fields. The line that tells the start is followed by the
 * addresses to open. Colours obey NO_COLOR. A line that is not JSON stays as it is.
 */
export function logText(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const [name, style] = LEVELS[Number(entry['level'])] ?? ['log', 'dim'];
  const at = new Date(Number(entry['time'])).toTimeString().slice(0, 8);
  const message = typeof entry['msg'] === 'string' ? entry['msg'] : '';
  const url = urlOfStart(message, entry);
  const fields = Object.entries(entry)
    .filter(([field]) => !LEFT_OUT.has(field) || (field === 'pid' && url !== undefined))
    .map(
      ([field, value]) => `${field}=${typeof value === 'string' ? harmless(value) : JSON.stringify(value)}`,
    );
  const shown = Number(entry['level']) === 30 ? '' : `${styled(style, name)} `;
  const first = `${styled('dim', at)} ${shown}${harmless(message)}${fields.length === 0 ? '' : ` ${styled('dim', fields.join(' '))}`}`;
  return [first, ...errorLines(entry['err']), ...addressLines(url), ''].join('\n');
}

/** The stack of an error, which is several lines. */
function errorLines(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const text = typeof stack === 'string' ? stack : typeof message === 'string' ? message : inspect(error);
  return text.split('\n').map((line) => `  ${harmless(line)}`);
}

/** Where the service listens, if this is the line that says so. */
function urlOfStart(message: string, entry: Readonly<Record<string, unknown>>): string | undefined {
  return 'port' in entry ? /https?:\/\/\S+$/.exec(message)?.[0] : undefined;
}

/** What to open, once it listens. An address that stands for all of a machine's is opened by the name of this machine. */
function addressLines(url: string | undefined): string[] {
  if (url === undefined) return [];
  const open = url.replace('//0.0.0.0:', '//localhost:').replace('//[::]:', '//localhost:');
  return [
    '',
    `  dashboard      ${styled('green', `${open}/dashboard`)}`,
    `  documentation  ${open}/docs`,
    `  metrics        ${open}/metrics`,
    '',
  ];
}

function styled(style: 'dim' | 'green' | 'yellow' | 'red', text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** Nothing of a line may move the cursor of a terminal: ids and topics come from publishers. */
function harmless(text: string): string {
  return text.replaceAll(
    /\p{Cc}|\p{Bidi_Control}/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
