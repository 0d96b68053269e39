import { topicPatternFault } from '@chronicleweaver/protocol';
import { useState } from 'preact/hooks';
import type { Place } from '../groups/place.ts';
import { patternsIn } from '../live/patterns.ts';
import type { Question } from './payload-search.ts';

/** What is asked, as it stands in the address of the page: an empty member is left out. */
export interface Draft {
  readonly find: string;
  /** Patterns of topics in a line. */
  readonly in: string;
  readonly order: string;
  readonly case: string;
  /** Offsets, or times in UTC. */
  readonly from: string;
  readonly to: string;
}

export function draftIn(query: URLSearchParams): Draft {
  const text = (name: string): string => query.get(name) ?? '';
  return {
    find: text('find'),
    in: text('in'),
    order: text('order'),
    case: text('case'),
    from: text('from'),
    to: text('to'),
  };
}

/** @throws an Error that says which field is at fault */
export function questionOf(draft: Draft): Question {
  const topics = patternsIn(draft.in);
  for (const pattern of topics) {
    const fault = topicPatternFault(pattern);
    if (fault !== undefined) throw new Error(`the topics: ${JSON.stringify(pattern)} ${fault}`);
  }
  return {
    text: draft.find,
    isCaseMeant: draft.case !== '',
    topics,
    order: draft.order === 'oldest' ? 'oldest' : 'newest',
    from: placeIn('from', draft.from),
    to: placeIn('to', draft.to),
  };
}

function placeIn(name: string, text: string): Place | null {
  if (text === '') return null;
  if (/^\d{1,15}$/.test(text)) return { at: 'offset', offset: text };
  if (!Number.isNaN(Date.parse(text))) return { at: 'time', time: text };
  throw new Error(`“${name}” takes an offset or a time, not ${JSON.stringify(text)}`);
}

type Bounds = 'all' | 'offsets' | 'times';

function boundsOf({ from, to }: Draft): Bounds {
  if (from === '' && to === '') return 'all';
  return /^\d*$/.test(from + to) ? 'offsets' : 'times';
}

interface Props {
  readonly draft: Draft;
  readonly ask: (draft: Draft) => void;
}

/** Asks what to look for, and where. */
export function SearchForm({ draft: given, ask }: Props) {
  const [draft, write] = useState(given);
  const [bounds, bound] = useState<Bounds>(boundsOf(given));
  const change = (name: keyof Draft) => (value: string) => write({ ...draft, [name]: value });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        ask({ ...draft, in: draft.in.trim() });
      }}
    >
      <div class="fields">
        <label>
          Text in the payload
          <input
            name="find"
            value={draft.find}
            spellcheck={false}
            required
            onInput={({ currentTarget: { value } }) => change('find')(value)}
          />
        </label>
        <label>
          In topics, such as <code>orders.*</code>; all if empty
          <input
            name="in"
            value={draft.in}
            spellcheck={false}
            onInput={({ currentTarget: { value } }) => change('in')(value)}
          />
        </label>
      </div>
      <div class="row">
        <label>
          Order
          <select value={draft.order} onChange={({ currentTarget: { value } }) => change('order')(value)}>
            <option value="">newest first</option>
            <option value="oldest">oldest first</option>
          </select>
        </label>
        <label>
          Where
          <select
            value={bounds}
            onChange={({ currentTarget: { value } }) => {
              bound(value === 'offsets' || value === 'times' ? value : 'all');
              write({ ...draft, from: '', to: '' });
            }}
          >
            <option value="all">in the whole log</option>
            <option value="offsets">between offsets</option>
            <option value="times">between times of commits</option>
          </select>
        </label>
        {bounds !== 'all' && (
          <>
            <Bound label="From" bounds={bounds} value={draft.from} take={change('from')} />
            <Bound label="To, without it" bounds={bounds} value={draft.to} take={change('to')} />
          </>
        )}
        <label class="check">
          <input
            type="checkbox"
            checked={draft.case !== ''}
            onChange={({ currentTarget: { checked } }) => change('case')(checked ? 'exact' : '')}
          />{' '}
          Case matters
        </label>
        <button type="submit" class="main">
          Search
        </button>
      </div>
    </form>
  );
}

interface BoundProps {
  readonly label: string;
  readonly bounds: Bounds;
  readonly value: string;
  readonly take: (value: string) => void;
}

/** One end of the range. Local times are kept in UTC. */
function Bound({ label, bounds, value, take }: BoundProps) {
  if (bounds === 'offsets') {
    return (
      <label>
        {label}
        <input
          value={value}
          inputMode="numeric"
          onInput={({ currentTarget }) => take(currentTarget.value.trim())}
        />
      </label>
    );
  }
  return (
    <label>
      {label}, your time
      <input
        type="datetime-local"
        step="1"
        value={localTime(value)}
        onInput={({ currentTarget }) => {
          const ms = Date.parse(currentTarget.value);
          take(Number.isNaN(ms) ? '' : new Date(ms).toISOString());
        }}
      />
    </label>
  );
}

/** As the browser's field has it: `2025-10-28T10:00:00`, without a zone. */
function localTime(iso: string): string {
  const ms = Date.parse(iso);
  if (iso === '' || Number.isNaN(ms)) return '';
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
