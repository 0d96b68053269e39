import { useEffect, useState } from 'preact/hooks';
import { countOf, grouped, sizeText } from '@chronicleweaver/vitals';
import { useNarrow } from '../parts/narrow.ts';
import { Card, Fault } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { Time } from '../parts/time.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { choose, route } from '../route.ts';
import { key } from '../service/key.ts';
import { useWatched } from '../watched.ts';
import type { Match } from './payload-match.ts';
import {
  CHARS_A_GO,
  EVENTS_A_GO,
  FOUND_A_GO,
  FOUND_MAX,
  PayloadSearch,
  type Progress,
  type SearchState,
  shareOf,
} from './payload-search.ts';
import { type Draft, SearchForm, draftIn, questionOf } from './search-form.tsx';

/**
 * A search through payloads. What was found stays while events of it are looked up on this page; another question, another key
 * or another page ends it.
 */
export function SearchPayloads() {
  const { query } = useWatched(route);
  const secret = useWatched(key);
  const draft = draftIn(query);
  const asked = draft.find === '' ? '' : JSON.stringify(draft);
  const [search, begin] = useState<PayloadSearch | undefined>();
  const [fault, fail] = useState<unknown>();
  const start = (wanted: Draft): void => {
    fail(undefined);
    begin(undefined);
    try {
      const begun = new PayloadSearch(questionOf(wanted));
      begun.go();
      begin(begun);
    } catch (error) {
      fail(error);
    }
  };
  useEffect(() => {
    if (asked !== '') start(draft);
  }, [asked]);
  useEffect(() => () => search?.stop(), [search]);
  useEffect(() => () => begin(undefined), [secret]);
  return (
    <Card title="Search through payloads">
      <SearchForm
        key={asked}
        draft={draft}
        ask={(wanted) => {
          if (JSON.stringify(wanted) === asked) start(wanted);
          else choose({ ...wanted });
        }}
      />
      <Fault error={fault} />
      {search === undefined ? (
        <p class="hint">
          The text is compared with payloads as they were sent, digit by digit and without blanks between
          tokens: <code>"amount":12.50</code>. This reads events and takes its time, so it is done in parts;
          an id is found at once, above.
        </p>
      ) : (
        <Searched search={search} asked={draft} />
      )}
    </Card>
  );
}

/** Of a row, pixels. */
const ROW_PX = 56;
const NARROW_ROW_PX = 76;
/** As in the style sheet. */
const NARROW_PX = 760;

function Searched({ search, asked }: { search: PayloadSearch; asked: Draft }) {
  const progress = useWatched(search.progress);
  const { state, found, foundCount } = progress;
  const isNarrow = useNarrow(NARROW_PX);
  const share = shareOf(progress, search.question.order);
  return (
    <>
      <div class="row search">
        <progress
          aria-label="How much of it was looked through"
          max={1}
          {...(share !== undefined && { value: share })}
        />
        {state.is === 'searching' ? (
          <button type="button" onClick={() => search.stop()}>
            Stop
          </button>
        ) : (
          state.is !== 'done' && (
            <button type="button" onClick={() => search.go()}>
              Go on
            </button>
          )
        )}
      </div>
      <p>{saidOf(progress, share)}</p>
      <p role="status" class="preview">
        {stateWords(state)}
        {state.is !== 'searching' &&
          ` ${countOf(String(foundCount), 'event has', 'events have')} “${search.question.text}”.`}
      </p>
      {state.is === 'failed' && <Fault error={state.error} />}
      {foundCount > found.length && (
        <p class="hint">The last {grouped(String(FOUND_MAX))} of them are held here.</p>
      )}
      {found.length > 0 && (
        <VirtualList
          count={found.length}
          rowHeight={isNarrow ? NARROW_ROW_PX : ROW_PX}
          label="Events with the text"
          row={(place) => found[place] && <FoundEvent match={found[place]} asked={asked} />}
        />
      )}
    </>
  );
}

function stateWords(state: SearchState): string {
  switch (state.is) {
    case 'searching':
      return 'Searching …';
    case 'stopped':
      return 'Stopped; it goes on where it was.';
    case 'resting':
      return state.why === 'found'
        ? `It rests: ${FOUND_A_GO} more were found.`
        : `It rests after ${grouped(String(EVENTS_A_GO))} events or ${CHARS_A_GO / 1024 / 1024} MB.`;
    case 'failed':
      return 'It cannot go on now.';
    case 'done':
      return 'All of it was looked through.';
  }
}

function saidOf({ events, chars, expired, at, range }: Progress, share: number | undefined): string {
  if (range === undefined || at === undefined) return 'Finding the ends …';
  const percent = share === undefined ? '' : `${Math.floor(share * 100)} %: `;
  const gone = expired === 0 ? '' : `; ${grouped(String(expired))} expired ones were passed over`;
  return (
    `${percent}${countOf(String(events), 'event', 'events')}, ${sizeText(chars)} looked through, at offset ` +
    `${grouped(String(at))} of ${grouped(String(range.after + 1))} to ${grouped(String(range.upTo))}${gone}.`
  );
}

function FoundEvent({ match, asked }: { match: Match; asked: Draft }) {
  const { offset, topic, id, receivedAt, excerpt } = match;
  // The search stays beside the event, and in the address.
  const kept = Object.entries(asked).filter(([, value]) => value !== '');
  const page = `lookup?${new URLSearchParams([['topic', topic], ['id', id], ...kept]).toString()}`;
  return (
    <div class="found-row">
      <PageLink page={page} title={`${topic} / ${id}`}>
        {topic} / {id}
      </PageLink>
      <small>
        offset {grouped(offset)}, <Time iso={receivedAt} />
      </small>
      <code>
        {excerpt.before}
        <mark>{excerpt.text}</mark>
        {excerpt.after}
      </code>
    </div>
  );
}
