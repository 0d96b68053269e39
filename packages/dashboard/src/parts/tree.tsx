import { useState } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';

/** So many entries of one object or array are shown at first: more would hold up the page. */
const SHOWN = 200;
/** Deeper ones are closed at first. */
const OPEN_LEVELS = 2;

/** JSON as a tree that opens and closes. Numbers are the text that was sent. */
export function Tree({ json, name, level = 0 }: { json: Json; name?: string; level?: number }) {
  if (json.kind === 'object') {
    const entries = json.members.map((member) => [member.name, member.value] as const);
    return <Branch entries={entries} name={name} level={level} signs="{}" />;
  }
  if (json.kind === 'array') {
    const entries = json.items.map((item, i) => [String(i), item] as const);
    return <Branch entries={entries} name={name} level={level} signs="[]" />;
  }
  return (
    <div class="leaf">
      <Name name={name} />
      {json.kind === 'string' ? (
        <span class="string">{JSON.stringify(json.value)}</span>
      ) : (
        <span class={json.kind}>{json.text}</span>
      )}
    </div>
  );
}

interface BranchProps {
  readonly entries: readonly (readonly [string, Json])[];
  readonly name: string | undefined;
  readonly level: number;
  readonly signs: string;
}

function Branch({ entries, name, level, signs }: BranchProps) {
  const [isOpen, open] = useState(level < OPEN_LEVELS);
  const [shown, show] = useState(SHOWN);
  return (
    <details class="branch" open={isOpen} onToggle={({ currentTarget }) => open(currentTarget.open)}>
      <summary>
        <Name name={name} />
        <span class="soft">
          {signs[0]}
          {entries.length === 1 ? '1 entry' : `${entries.length} entries`}
          {signs[1]}
        </span>
      </summary>
      {isOpen &&
        entries.slice(0, shown).map(([key, value], i) => (
          // Names may come in any order, and only their place is sure to be unique.
          <Tree key={i} json={value} name={key} level={level + 1} />
        ))}
      {isOpen && entries.length > shown && (
        <button type="button" class="quiet" onClick={() => show(shown + 10 * SHOWN)}>
          {entries.length - shown} more
        </button>
      )}
    </details>
  );
}

function Name({ name }: { name: string | undefined }) {
  return name === undefined ? null : <span class="name">{name}: </span>;
}
