import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { FieldError } from '@chronicleweaver/protocol';
import { REQUIRED, isJsonType, nameFault, topicFault, valueFault } from '../../cloudevents/attributes.ts';
import { DATA_DEPTH_MAX } from '../../cloudevents/cloud-event.ts';
import { CompactJson } from '../../event/compact-json.ts';
import type { ReadCloudEvents } from '../../cloudevents/json-format.ts';

/**
 * Reads a CloudEvent in binary mode (HTTP Protocol Binding 1.0.2, 3.1): its attributes are headers and its data are the body. Its text becomes what the JSON format makes of it: data that are JSON as they came, text as a
 * string, and everything else as base64. Attributes are in a fixed order, because a proxy may change that of headers.
 */
export function readBinary(
  request: IncomingMessage,
  body: Buffer,
  { isTopic }: { isTopic: boolean },
): ReadCloudEvents {
  const errors: FieldError[] = [];
  const error = (field: string, message: string): void => {
    errors.push({ index: 0, field, message });
  };
  const attributes = attributesIn(request.rawHeaders, error);
  for (const name of REQUIRED) if (!attributes.has(name)) error(name, 'is missing');
  const type = attributes.get('type') ?? '';
  const fault = isTopic ? topicFault(type) : undefined;
  if (fault !== undefined) error('type', fault);

  // An empty one says nothing.
  const contentType = request.headers['content-type'] || undefined;
  const typeFault = contentType && valueFault('datacontenttype', contentType);
  if (typeFault) error('datacontenttype', typeFault);
  if (errors.length > 0) return { kind: 'invalid', errors, errorsFound: errors.length };
  if (contentType !== undefined) attributes.set('datacontenttype', contentType);
  const names = [...new Set([...REQUIRED, ...[...attributes.keys()].toSorted()])];
  const members = names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(attributes.get(name))}`);
  const of = (name: string): string => attributes.get(name)!;
  const json = Buffer.concat([
    Buffer.from(`{${members.join()}`),
    ...dataIn(body, contentType),
    Buffer.from('}'),
  ]);
  const named = { id: of('id'), source: of('source'), type, time: attributes.get('time') ?? null };
  return { kind: 'read', events: [{ ...named, json }] };
}

function attributesIn(
  rawHeaders: readonly string[],
  error: (field: string, message: string) => void,
): Map<string, string> {
  const attributes = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]!.toLowerCase();
    if (!header.startsWith('ce-')) continue;
    const name = header.slice('ce-'.length);
    if (attributes.has(name)) error(name, 'appears twice');
    const text = headerText(rawHeaders[i + 1]!);
    attributes.set(name, text ?? '');
    const fault =
      bodyFault(name) ??
      nameFault(name) ??
      (text === undefined ? 'is not UTF-8 once it is percent-decoded' : valueFault(name, text));
    if (fault !== undefined) error(name, fault);
  }
  return attributes;
}

/** What is wrong with a header that says something which stands elsewhere. */
function bodyFault(name: string): string | undefined {
  if (name === 'datacontenttype') return 'is sent as Content-Type, not as ce-datacontenttype';
  return name === 'data' || name === 'data_base64' ? 'is the body, not a header' : undefined;
}

/**
 * The text of a header: quotes are taken off, escapes within them resolved, and then one round of percent-decoding is done
 * (3.1.3.2). A percent sign that begins no escape stands for itself, since not everybody escapes it. Undefined if that is not
 * UTF-8.
 */
function headerText(value: string): string | undefined {
  const bytes = Buffer.from(unquoted(value), 'latin1');
  let to = 0;
  for (let at = 0; at < bytes.length; at++) {
    let byte = bytes[at]!;
    const hex = byte === PERCENT ? bytes.toString('latin1', at + 1, at + 3) : '';
    if (/^[0-9a-f]{2}$/i.test(hex)) {
      byte = Number.parseInt(hex, 16);
      at += 2;
    }
    bytes[to++] = byte;
  }
  const text = bytes.subarray(0, to);
  return isUtf8(text) ? text.toString() : undefined;
}

const PERCENT = 0x25;

/** A value whose quotes do not come in pairs is left as it is. */
function unquoted(value: string): string {
  if (!value.includes('"')) return value;
  let text = '';
  let isQuoted = false;
  for (let at = 0; at < value.length; at++) {
    const char = value[at]!;
    if (char === '"') isQuoted = !isQuoted;
    else text += isQuoted && char === '\\' ? (value[++at] ?? '') : char;
  }
  return isQuoted ? value : text;
}

/**
 * The member of the data, in pieces; none without a body. Of JSON that the payload of an event could not have, the bytes are
 * kept, as of everything that is not text: to the binding they are opaque.
 */
function dataIn(body: Buffer, type: string | undefined): Uint8Array[] {
  if (body.length === 0) return [];
  if (isUtf8(body)) {
    // A copy, since reading it consumes it.
    const json = isJsonType(type) ? DATA_JSON.compact(Buffer.from(body)) : null;
    if (json !== null) return [DATA, json];
    if (isTextType(type)) return [DATA, Buffer.from(JSON.stringify(body.toString()))];
  }
  return [DATA_BASE64, Buffer.from(`"${body.toString('base64')}"`)];
}

const DATA_JSON = new CompactJson(DATA_DEPTH_MAX);
const DATA = Buffer.from(',"data":');
const DATA_BASE64 = Buffer.from(',"data_base64":');

/** Whether data of this type are text in UTF-8, or in ASCII. */
function isTextType(type = ''): boolean {
  if (!/^\s*(?:text\/[^;\s]+|[^/;\s]+\/(?:[^;\s]+\+)?xml)\s*(?:;|$)/i.test(type)) return false;
  return type
    .matchAll(/;\s*charset\s*=\s*"?([^";\s]*)/gi)
    .every(([, charset]) => /^(?:utf-?8|us-ascii)$/i.test(charset!));
}
