import { useState } from 'preact/hooks';
import { countOf, grouped } from '@chronicleweaver/vitals';
import { ConflictList } from '../duplicates/conflict-view.tsx';
import { type Age, KNOWN_WINDOWS, agesIn, durationWords } from '../duplicates/windows.ts';
import type { Json } from '../json/exact-json.ts';
import { itemsIn, textIn } from '../json/fields.ts';
import { patternsIn } from '../live/patterns.ts';
import { useAsked } from '../parts/asked.ts';
import { Card, Empty, Fault, Page } from '../parts/page.tsx';
import { Time } from '../parts/time.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { choose, route } from '../route.ts';
import { SERVICE_URL } from '../service/address.ts';
import { Refusal, askJson } from '../service/ask.ts';
import { useWatched } from '../watched.ts';

const EVERY_MS = 5_000;
const CONFLICTS_SHOWN = 20;
const NAMES_SHOWN = 20;

/** How late duplicates come, who sends them, and what lost. */
export function DuplicatesPage() {
  const { query } = useWatched(route);
  const [topics, source] = [query.get('topic') ?? '', query.get('source') ?? ''];
  const asked = filterOf(topics, source);
  const { answer, error } = useAsked(
    asked,
    (signal) => askJson(`/duplicates/ages?${asked}`, { signal }),
    EVERY_MS,
  );
  const isUntold = error instanceof Refusal && error.code === 'not_found';
  return (
    <Page
      title="Duplicates"
      lead="How late they come, who sends them, and which events lost against another of the same id."
    >
      {isUntold ? (
        <p>This service is of a version that does not tell the ages of duplicates.</p>
      ) : (
        <>
          <Filter key={asked} topics={topics} source={source} />
          <Fault error={error} />
          {answer !== undefined && <Ages answer={answer} />}
          {answer !== undefined && <Repeaters topics={topics} />}
          {answer !== undefined && textIn(answer, 'conflicts') !== '0' && <Conflicts query={asked} />}
        </>
      )}
    </Page>
  );
}

function filterOf(topics: string, source: string): string {
  const query = new URLSearchParams(patternsIn(topics).map((topic) => ['topic', topic]));
  if (source !== '') query.set('source', source);
  return query.toString();
}

function Filter({ topics, source }: { topics: string; source: string }) {
  const [asked, write] = useState({ topic: topics, source });
  return (
    <form
      class="row bar"
      onSubmit={(event) => {
        event.preventDefault();
        choose({ topic: asked.topic.trim(), source: asked.source });
      }}
    >
      <label class="grow">
        Topics, such as <code>orders.*</code>; all if empty
        <input
          value={asked.topic}
          spellcheck={false}
          onInput={({ currentTarget: { value } }) => write({ ...asked, topic: value })}
        />
      </label>
      <label class="grow">
        Source; all if empty
        <input
          value={asked.source}
          spellcheck={false}
          onInput={({ currentTarget: { value } }) => write({ ...asked, source: value })}
        />
      </label>
      <button type="submit" class="main">
        Show
      </button>
    </form>
  );
}

function Ages({ answer }: { answer: Json }) {
  const ages = agesIn(answer);
  const total = textIn(answer, 'duplicates');
  const windows = ages.filter(({ upTo }) => upTo !== '');
  const [at, slide] = useState(
    Math.max(
      0,
      windows.findIndex(({ upTo }) => upTo === '2m'),
    ),
  );
  const chosen = windows[at];
  if (total === '0' || chosen === undefined) {
    return (
      <Empty
        what={
          <>
            No duplicate has come since <Time iso={textIn(answer, 'counted_since')} />. Send an event twice to
            see one, for example from the page Publish, or from a terminal:
          </>
        }
        command={`curl -s '${SERVICE_URL}/publish?results=true' -H 'content-type: application/json' -d '{
  "event_id": "order-1-placed", "topic": "orders", "source": "shop",
  "payload": {}, "timestamp": "2025-10-28T10:00:00Z"}'`}
      />
    );
  }
  const words = durationWords(chosen.upTo);
  const known = KNOWN_WINDOWS[chosen.upTo];
  return (
    <Card title="How late duplicates come">
      <label>
        A broker that remembers ids for <b>{words}</b>
        <input
          type="range"
          class="slider"
          min={0}
          max={windows.length - 1}
          value={at}
          aria-valuetext={words}
          onInput={({ currentTarget: { value } }) => slide(Number(value))}
        />
      </label>
      <p class="verdict" role="status">
        A window of {words}
        {known === undefined ? '' : ` (${known})`} would have let{' '}
        <strong class={chosen.letThrough === '0' ? 'accepted' : 'conflict'}>
          {grouped(chosen.letThrough)}
        </strong>{' '}
        of {countOf(total, 'duplicate', 'duplicates')} through. ChronicleWeaver let none through.
      </p>
      <Bars ages={ages} at={at} />
      <p class="hint">
        Since <Time iso={textIn(answer, 'counted_since')} />; {grouped(textIn(answer, 'conflicts'))} of them
        were conflicts.
      </p>
    </Card>
  );
}

function Bars({ ages, at }: { ages: readonly Age[]; at: number }) {
  const most = Math.max(1, ...ages.map(({ duplicates }) => Number(duplicates)));
  return (
    <table class="bars">
      <thead class="unseen">
        <tr>
          <th scope="col">Age</th>
          <th scope="col">Duplicates</th>
        </tr>
      </thead>
      <tbody>
        {ages.map(({ upTo, duplicates }, i) => (
          <tr key={upTo}>
            <th scope="row">{upTo === '' ? 'older' : `up to ${durationWords(upTo)}`}</th>
            <td>
              <span
                class={i > at ? 'bar-through' : 'bar-caught'}
                style={{ width: `${(Number(duplicates) / most) * 100}%` }}
              />
            </td>
            <td class="number">{grouped(duplicates)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Repeaters({ topics }: { topics: string }) {
  const [by, sort] = useState('source');
  const [period, take] = useState('day');
  const query = new URLSearchParams([
    ...patternsIn(topics).map((topic) => ['topic', topic]),
    ['by', by],
    ['period', period],
    ['limit', String(NAMES_SHOWN)],
  ]).toString();
  const { answer, error } = useAsked(
    query,
    (signal) => askJson(`/duplicates/top?${query}`, { signal }),
    EVERY_MS,
  );
  if (error instanceof Refusal && error.code === 'not_found') return null;
  const names = itemsIn(answer, 'top');
  return (
    <Card title="Who repeats most">
      <div class="row">
        <label>
          By
          <select value={by} onChange={({ currentTarget: { value } }) => sort(value)}>
            <option value="source">source</option>
            <option value="topic">topic</option>
          </select>
        </label>
        <label>
          Of
          <select value={period} onChange={({ currentTarget: { value } }) => take(value)}>
            <option value="hour">the last hour</option>
            <option value="day">the last day</option>
            <option value="all">all time</option>
          </select>
        </label>
      </div>
      <Fault error={error} />
      {answer !== undefined && names.length === 0 && <p class="fine">Nobody.</p>}
      {names.length > 0 && (
        <WideTable label="Who repeats most">
          <thead>
            <tr>
              <th scope="col">{by === 'source' ? 'Source' : 'Topic'}</th>
              <th scope="col" class="number">
                Duplicates
              </th>
              <th scope="col" class="number">
                Of these, conflicts
              </th>
            </tr>
          </thead>
          <tbody>
            {names.map((one) => (
              <tr key={textIn(one, 'name')}>
                <th scope="row">{textIn(one, 'name')}</th>
                <td class="number">{grouped(textIn(one, 'duplicates'))}</td>
                <td class="number">{grouped(textIn(one, 'conflicts'))}</td>
              </tr>
            ))}
          </tbody>
        </WideTable>
      )}
    </Card>
  );
}

function Conflicts({ query }: { query: string }) {
  const [before, turn] = useState('');
  const page = `${query}&limit=${CONFLICTS_SHOWN}${before === '' ? '' : `&before=${before}`}`;
  const { answer, error } = useAsked(page, (signal) => askJson(`/conflicts?${page}`, { signal }));
  if (error instanceof Refusal && error.code === 'not_found') return null;
  const next = textIn(answer, 'next');
  return (
    <Card title="Conflicts, the newest first">
      <Fault error={error} />
      <ConflictList conflicts={itemsIn(answer, 'conflicts')} />
      <div class="row">
        {before !== '' && (
          <button type="button" onClick={() => turn('')}>
            Newest
          </button>
        )}
        {next !== '' && (
          <button type="button" onClick={() => turn(next)}>
            Older
          </button>
        )}
      </div>
    </Card>
  );
}
