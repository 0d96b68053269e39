import { useEffect, useState } from 'preact/hooks';
import { parseExact } from '../json/exact-json.ts';
import type { Row } from '../live/event-window.ts';
import { summaryOf } from '../live/event-window.ts';
import { CHARS_MAX, EVENTS_MAX, Following, LAST_EVENTS, cursorFor } from '../live/follow.ts';
import { patternsIn } from '../live/patterns.ts';
import { EventView } from '../parts/event-view.tsx';
import { grouped, rateText } from '@chronicleweaver/vitals';
import { useNarrow } from '../parts/narrow.ts';
import { Card, Empty, Fault, Page } from '../parts/page.tsx';
import { Time } from '../parts/time.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { choose, route } from '../route.ts';
import { SERVICE_URL } from '../service/address.ts';
import { key } from '../service/key.ts';
import type { StreamState } from '../service/stream.ts';
import { useWatched } from '../watched.ts';

/** Events as they come. What to follow is in the address. */
export function LivePage() {
  const { query } = useWatched(route);
  const [topics, from] = [query.get('topic') ?? '', query.get('from') ?? 'last'];
  // What another key may see is another stream.
  const secret = useWatched(key);
  return (
    <Page title="Live" lead="Events as they are committed, newest first.">
      <Card>
        <Choice key={`${topics}\n${from}`} topics={topics} from={from} />
      </Card>
      <Followed key={`${topics}\n${from}\n${secret}`} topics={topics} from={from} />
    </Page>
  );
}

const PLACES: readonly (readonly [from: string, label: string])[] = [
  ['last', `the last ${LAST_EVENTS} of the log`],
  ['latest', 'now'],
  ['earliest', 'the beginning'],
];

function Choice({ topics, from }: { topics: string; from: string }) {
  const [pattern, write] = useState(topics);
  const places = PLACES.some(([place]) => place === from)
    ? PLACES
    : [...PLACES, [from, `offset ${from}`] as const];
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        choose({ topic: pattern.trim(), from: from === 'last' ? '' : from });
      }}
    >
      <label class="grow">
        Topics, such as <code>orders.*</code> or <code>payments.&gt;</code>; all if empty
        <input value={pattern} spellcheck={false} onInput={({ currentTarget: { value } }) => write(value)} />
      </label>
      <label>
        From
        <select
          value={from}
          onChange={({ currentTarget: { value } }) =>
            choose({ topic: pattern.trim(), from: value === 'last' ? '' : value })
          }
        >
          {places.map(([place, label]) => (
            <option key={place} value={place}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="main">
        Follow
      </button>
    </form>
  );
}

function Followed({ topics, from }: { topics: string; from: string }) {
  const [following, follow] = useState<Following | undefined>();
  useEffect(() => {
    const stop = new AbortController();
    let begun: Following | undefined;
    const begin = async (): Promise<void> => {
      const after = await cursorFor(from, stop.signal);
      if (stop.signal.aborted) return;
      begun = new Following(patternsIn(topics), after);
      begun.stream.resume();
      follow(begun);
    };
    void begin();
    return () => {
      stop.abort();
      begun?.close();
    };
  }, []);
  return following === undefined ? <p>Asking the service …</p> : <Stream following={following} />;
}

/** Of a row, pixels: a line where there is room, two where there is not. */
const ROW_PX = 36;
const NARROW_ROW_PX = 56;
/** As in the style sheet. */
const NARROW_PX = 760;

function Stream({ following }: { following: Following }) {
  const { window, stream } = following;
  useWatched(following.drawn);
  const state = useWatched(stream.state);
  const [filter, write] = useState('');
  const [opened, open] = useState<Row | undefined>();
  const isPaused = state.is === 'paused';
  return (
    <>
      <div class="row bar">
        <button
          type="button"
          onClick={() => (isPaused ? stream.resume() : stream.pause())}
          disabled={state.is === 'refused'}
        >
          {isPaused ? 'Resume' : 'Pause'}
        </button>
        <button
          type="button"
          onClick={() => {
            window.clear();
            following.draw();
          }}
        >
          Clear
        </button>
        <label class="grow">
          Only those that contain
          <input
            type="search"
            value={filter}
            spellcheck={false}
            onInput={({ currentTarget: { value } }) => {
              write(value);
              window.filter(value);
              following.draw();
            }}
          />
        </label>
        <State state={state} rate={following.rate()} />
      </div>
      {state.is === 'refused' && <Fault error={state.error} />}
      <div class={opened === undefined ? 'live' : 'live opened'}>
        {window.held === 0 ? (
          <Empty
            what="Nothing has come yet. It appears here the moment that it is on disk; the same in a terminal:"
            command={`curl -sN '${SERVICE_URL}/events/stream?after=latest'`}
          />
        ) : (
          <Rows following={following} opened={opened} open={open} />
        )}
        {opened !== undefined && (
          <Card title={`Event at offset ${opened.offset}`}>
            <EventView event={parseExact(opened.text)} text={opened.text} />
            <button type="button" onClick={() => open(undefined)}>
              Close
            </button>
          </Card>
        )}
      </div>
      <p class="hint">
        {grouped(String(window.count))} shown of {grouped(String(window.came))} that came. This page holds the
        newest {grouped(String(EVENTS_MAX))}, or {CHARS_MAX / 1024 / 1024} MB of them; what falls out here is
        still in the log. While it is paused nothing is missed: it goes on behind the last event that it
        showed.
      </p>
    </>
  );
}

interface RowsProps {
  readonly following: Following;
  readonly opened: Row | undefined;
  readonly open: (row: Row) => void;
}

/** The rows. They stand still under the pointer, so that the one that is clicked is the one that was meant. */
function Rows({ following: { window }, opened, open }: RowsProps) {
  const [heldAt, hold] = useState<number | undefined>();
  const isNarrow = useNarrow(NARROW_PX);
  const newer = heldAt === undefined ? 0 : window.matched - heldAt;
  return (
    <div class="rows" onPointerEnter={() => hold(window.matched)} onPointerLeave={() => hold(undefined)}>
      <VirtualList
        count={Math.max(0, window.count - newer)}
        rowHeight={isNarrow ? NARROW_ROW_PX : ROW_PX}
        added={window.matched - newer}
        label="Events, newest first"
        row={(place) => {
          const row = window.row(place + newer);
          return <EventRow row={row} isOpen={row === opened} open={open} />;
        }}
      />
      {newer > 0 && <p class="newer">{grouped(String(newer))} newer ones, held back under the pointer</p>}
    </div>
  );
}

function State({ state, rate }: { state: StreamState; rate: number }) {
  const said = {
    paused: 'Paused',
    connecting: 'Connecting …',
    open: 'Live',
    waiting: 'Cut off; coming back by itself',
    refused: 'Refused',
  }[state.is];
  return (
    <p class="state">
      <span
        role="status"
        class={state.is === 'open' ? 'fine' : 'soft'}
        title={state.is === 'waiting' ? state.why : ''}
      >
        {said}
      </span>
      {state.is === 'open' && <span class="soft"> {rateText(rate)} events/s</span>}
    </p>
  );
}

interface EventRowProps {
  readonly row: Row | undefined;
  readonly isOpen: boolean;
  readonly open: (row: Row) => void;
}

function EventRow({ row, isOpen, open }: EventRowProps) {
  if (row === undefined) return null;
  if (row.expired !== undefined) {
    return <p class="gap">{grouped(row.expired)} events are no longer kept here</p>;
  }
  const { topic, id, receivedAt, payload } = summaryOf(row);
  return (
    <button type="button" class="event-row" aria-expanded={isOpen} onClick={() => open(row)}>
      <span class="soft offset">{row.offset}</span>
      <span class="soft when">
        <Time iso={receivedAt} />
      </span>
      <span class="topic">{topic}</span>
      <span class="id">{id}</span>
      <span class="soft payload">{payload}</span>
    </button>
  );
}
