/** What is wanted of the members of an object, by name. */
export interface FieldNode {
  /** The number of the field that is here; -1 if none is. */
  place: number;
  readonly members: Map<string, FieldNode>;
}

/** The fields of records that a mapping needs, each with a number. A reader goes down this tree as it goes down a record. */
export class FieldPlaces {
  readonly root: FieldNode = { place: -1, members: new Map() };
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The number of a field, whose name `fieldFault` accepts. */
  placeOf(name: string): number {
    let node = this.root;
    for (const step of stepsOf(name)) {
      const next = node.members.get(step) ?? { place: -1, members: new Map() };
      node.members.set(step, next);
      node = next;
    }
    if (node.place < 0) node.place = this.#count++;
    return node.place;
  }
}

/** What is wrong with the name of a field, or undefined. */
export function fieldFault(name: string): string | undefined {
  const isGood = name.startsWith('/') ? !/~(?![01])/.test(name) : !stepsOf(name).includes('');
  if (isGood) return undefined;
  return `${JSON.stringify(name)} is no field: expected names with dots in between, as in host.name, or a JSON pointer such as /host/name`;
}

/** Names of members, from the outside in: `host.name`, or as a JSON pointer (RFC 6901), `/host/name`. Neither goes into arrays. */
function stepsOf(name: string): string[] {
  if (!name.startsWith('/')) return name.split('.');
  return name
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}
