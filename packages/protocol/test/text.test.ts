import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextError, byteOrderMarkLength, decodeText, encodingFault, isUtf16 } from '../src/index.ts';

test('a text is UTF-8, and a byte order mark at its beginning is not part of it', () => {
  for (const [bytes, text] of [
    [Buffer.from('größe'), 'größe'],
    [Buffer.from('\ufeffgröße'), 'größe'],
    [Buffer.from('\ufeff\ufeffa'), '\ufeffa'],
    [Buffer.from('a\ufeff'), 'a\ufeff'],
    [Buffer.from('\ufeff'), ''],
    [Buffer.alloc(0), ''],
  ] as const) {
    assert.equal(decodeText(bytes), text);
    assert.equal(isUtf16(bytes), false);
    assert.equal(bytes.subarray(byteOrderMarkLength(bytes)).toString(), text);
  }
});

test('text that is not UTF-8 is refused with its encoding or line, and what to do', () => {
  const utf16 = Buffer.from('\ufeffHOST=::1\n', 'utf16le');
  for (const [bytes, message] of [
    [utf16, 'is UTF-16: save it as UTF-8'],
    [Buffer.from(utf16).swap16(), 'is UTF-16: save it as UTF-8'],
    [utf16.subarray(2), 'has NUL bytes, as UTF-16 has: save it as UTF-8'],
    [Buffer.from('größe', 'latin1'), 'is not UTF-8 in line 1: save it as UTF-8'],
    [Buffer.from('a\nb\r\n# größe\n', 'latin1'), 'is not UTF-8 in line 3: save it as UTF-8'],
    [Buffer.from([0x0a, 0xe2, 0x82]), 'is not UTF-8 in line 2: save it as UTF-8'],
  ] as const) {
    assert.throws(() => decodeText(bytes), new TextError(message));
  }
  assert.equal(encodingFault(utf16), 'is UTF-16');
  assert.equal(encodingFault(Buffer.from('größe', 'latin1')), 'is not UTF-8');
});
