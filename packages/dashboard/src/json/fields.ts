import type { Json } from './exact-json.ts';

/** The member of an object; undefined if there is none, or if it is no object. A service of another version may lack any. */
export function field(json: Json | undefined, name: string): Json | undefined {
  return json?.kind === 'object' ? json.members.find((member) => member.name === name)?.value : undefined;
}

/** What a string says, or a number or word as it was written; empty for anything else, and for `null`. */
export function textIn(json: Json | undefined, name: string): string {
  return plainText(field(json, name));
}

export function plainText(json: Json | undefined): string {
  if (json === undefined || json.kind === 'object' || json.kind === 'array') return '';
  if (json.kind === 'string') return json.value;
  return json.text === 'null' ? '' : json.text;
}

/** Near enough to draw, sort and compare with; never shown. NaN if there is none. */
export function roughly(json: Json | undefined, name: string): number {
  const text = textIn(json, name);
  return text === '' ? NaN : Number(text);
}

export function itemsIn(json: Json | undefined, name: string): readonly Json[] {
  const list = field(json, name);
  return list?.kind === 'array' ? list.items : [];
}

/** JSON text with every digit as it was; over several lines with an indent. */
export function writeExact(json: Json, indent = 0, level = 0): string {
  const open = indent > 0 ? `\n${' '.repeat(indent * (level + 1))}` : '';
  const close = indent > 0 ? `\n${' '.repeat(indent * level)}` : '';
  switch (json.kind) {
    case 'string':
      return JSON.stringify(json.value);
    case 'number':
    case 'word':
      return json.text;
    case 'array': {
      if (json.items.length === 0) return '[]';
      const items = json.items.map((item) => open + writeExact(item, indent, level + 1));
      return `[${items.join(',')}${close}]`;
    }
    case 'object': {
      if (json.members.length === 0) return '{}';
      const colon = indent > 0 ? ': ' : ':';
      const members = json.members.map(
        ({ name, value }) => open + JSON.stringify(name) + colon + writeExact(value, indent, level + 1),
      );
      return `{${members.join(',')}${close}}`;
    }
  }
}
