import type { SeededRandom } from '../lab/random.ts';
import { ODD_HEADERS } from './headers.ts';

/** Changes the bytes of requests blindly, whatever they mean. */
export function brokenBytes(random: SeededRandom, whole: Buffer): Buffer {
  let bytes = whole;
  for (let changes = random.whole(1, 3); changes > 0; changes--) {
    // The head is short and decides most.
    const headEnd = Math.max(1, bytes.indexOf('\r\n\r\n') + 4);
    const at = random.whole(0, random.chance(0.7) ? headEnd : bytes.length);
    const length = random.of([1, 1, 2, 10, 100] as const);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random.whole(0, 6)) {
      case 0:
        bytes = before;
        break;
      case 1:
        bytes = Buffer.concat([before, after.subarray(length)]);
        break;
      case 2:
        bytes = Buffer.concat([before, after.subarray(0, length), after]);
        break;
      case 3:
        bytes = Buffer.concat([before, Buffer.from(random.of(INSERTS), 'latin1'), after]);
        break;
      case 4:
        bytes = Buffer.concat([before, Buffer.from([random.whole(0, 255)]), after.subarray(1)]);
        break;
      case 5: {
        // One more header line, perhaps a repeated one.
        const line = bytes.indexOf('\r\n') + 2;
        const [name, values] = random.of(ODD_HEADERS);
        const more = Buffer.from(`${name}: ${values[random.whole(0, values.length - 1)]}\r\n`, 'latin1');
        bytes = Buffer.concat([bytes.subarray(0, line), more, bytes.subarray(line)]);
        break;
      }
      default:
        bytes = Buffer.from(
          bytes.toString('latin1').replaceAll('\r\n', random.of(['\n', '\r', '\r\n\r\n', '\r\n '])),
          'latin1',
        );
    }
  }
  return bytes;
}

const INSERTS = [
  '\0',
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  '\x7f',
  '\xff\xfe',
  'x'.repeat(17_000),
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'HTTP/1.0\r\n',
  'HTTP/2.0\r\n',
  'GET /health HTTP/1.1\r\nHost: a\r\n\r\n',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
] as const;
