import { useMemo, useRef } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { itemsIn, roughly, textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { grouped, rateText, sizeText } from '@chronicleweaver/vitals';
import { useNarrow } from '../parts/narrow.ts';
import { Empty, Fault, Page } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { choose, route } from '../route.ts';
import { SERVICE_URL } from '../service/address.ts';
import { Refusal, askJson } from '../service/ask.ts';
import { keptWords, policyFinder } from '../topics/policies.ts';
import { useWatched } from '../watched.ts';

/** The answer has a line for each topic: ten thousand of them are a megabyte. */
const EVERY_MS = 5_000;
const POLICIES_EVERY_MS = 30_000;
/** Of a row, pixels: a line where there is room, four where there is not. */
const ROW_PX = 40;
const NARROW_ROW_PX = 98;
/** As in the style sheet. */
const NARROW_PX = 900;

const ORDERS = {
  name: 'name',
  rate: 'events per second',
  events: 'events kept',
  bytes: 'bytes',
  last: 'last event',
} as const;

type Order = keyof typeof ORDERS;

interface Topic {
  readonly name: string;
  readonly json: Json;
  /** Events that were accepted per second since the last look; undefined at the first. */
  readonly rate: number | undefined;
}

/** All topics: what they have, and what comes in. */
export function TopicsPage() {
  const { query } = useWatched(route);
  const [wanted, order] = [query.get('search') ?? '', orderOf(query.get('order'))];
  const rates = useRef<ReadonlyMap<string, Counted>>(new Map());
  const { answer, error } = useAsked('/topics', readTopics(rates), EVERY_MS);
  const retention = useRetention();
  const isNarrow = useNarrow(NARROW_PX);
  const shown = useMemo(() => sorted(answer ?? [], wanted, order), [answer, wanted, order]);
  return (
    <Page title="Topics" lead="What is in the log, by topic.">
      <Fault error={error} />
      {answer?.length === 0 && (
        <Empty
          what="There is no topic yet: a topic begins with its first event."
          command={`curl -s ${SERVICE_URL}/publish -H 'content-type: application/json' -d '{
  "event_id": "1", "topic": "orders.eu", "source": "shop", "payload": {}, "timestamp": "2025-10-28T10:00:00Z"}'`}
        />
      )}
      {answer !== undefined && answer.length > 0 && (
        <>
          <div class="row bar">
            <Search wanted={wanted} order={order} />
            <p class="state soft" role="status">
              {shown.length === answer.length
                ? `${grouped(String(answer.length))} topics`
                : `${grouped(String(shown.length))} of ${grouped(String(answer.length))} topics`}
            </p>
          </div>
          <div class="topic-row topic-head" aria-hidden="true">
            {HEADS.map((head) => (
              <span key={head}>{head}</span>
            ))}
          </div>
          <VirtualList
            count={shown.length}
            rowHeight={isNarrow ? NARROW_ROW_PX : ROW_PX}
            label="Topics"
            row={(place) => shown[place] && <TopicRow topic={shown[place]} policyOf={retention.policyOf} />}
          />
          <p class="hint">{retention.said}</p>
        </>
      )}
    </Page>
  );
}

interface Retention {
  readonly policyOf: ((topic: string) => Json | undefined) | undefined;
  /** What is to be known about it, below the list. */
  readonly said: string;
}

/** Which policy governs a topic, where the key may know. */
function useRetention(): Retention {
  const { answer, error } = useAsked(
    '/retention',
    async (signal) => policyFinder(await askJson('/retention', { signal })),
    POLICIES_EVERY_MS,
  );
  if (error instanceof Refusal && error.status === 403)
    return {
      policyOf: undefined,
      said: 'Which policy governs a topic is told to keys with the scope admin alone.',
    };
  if (answer === undefined) return { policyOf: undefined, said: '' };
  return {
    policyOf: answer,
    said: 'Retention is the policy with the narrowest pattern that matches the topic. Without one everything is kept.',
  };
}

const HEADS = ['Topic', 'Retention', 'Events/s', 'Kept', 'Expired', 'Size', 'First kept', 'Last'];

function Search({ wanted, order }: { wanted: string; order: Order }) {
  return (
    <>
      <label class="grow">
        Search
        <input
          type="search"
          value={wanted}
          spellcheck={false}
          onInput={({ currentTarget: { value } }) =>
            choose({ search: value, order: order === 'name' ? '' : order })
          }
        />
      </label>
      <label>
        Order
        <select
          value={order}
          onChange={({ currentTarget: { value } }) =>
            choose({ search: wanted, order: value === 'name' ? '' : value })
          }
        >
          {Object.entries(ORDERS).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

interface TopicRowProps {
  readonly topic: Topic;
  readonly policyOf: Retention['policyOf'];
}

function TopicRow({ topic: { name, json, rate }, policyOf }: TopicRowProps) {
  const page = `live?${new URLSearchParams({ topic: /\s/.test(name) ? `"${name}"` : name, from: 'last' }).toString()}`;
  const text = (field: string): string => grouped(textIn(json, field)) || '–';
  const cells: [label: string, value: string, exact?: string][] = [
    ['events/s', rateText(rate)],
    ['kept', text('events')],
    ['expired', text('expired')],
    ['size', sizeText(roughly(json, 'bytes')), `${text('bytes')} bytes`],
    ['first', text('first_offset')],
    ['last', text('last_offset')],
  ];
  return (
    <div class="topic-row">
      <PageLink page={page} title={name}>
        {name}
      </PageLink>
      <Policy policy={policyOf?.(name)} isKnown={policyOf !== undefined} />
      {cells.map(([label, value, exact]) => (
        <span key={label} class="number" title={exact ?? label}>
          <span class="what">{label} </span>
          {value}
        </span>
      ))}
    </div>
  );
}

function Policy({ policy, isKnown }: { policy: Json | undefined; isKnown: boolean }) {
  if (policy === undefined) return <span class="soft">{isKnown ? 'all is kept' : '–'}</span>;
  const [name, kept] = [textIn(policy, 'name'), keptWords(policy)];
  return (
    <span title={`the policy ${name} keeps ${kept}`}>
      <span class="unseen">the policy </span>
      {name} <span class="soft">{kept}</span>
    </span>
  );
}

interface Counted {
  readonly accepted: bigint;
  readonly atMs: number;
}

function readTopics(rates: { current: ReadonlyMap<string, Counted> }) {
  return async (signal: AbortSignal): Promise<Topic[]> => {
    const answer = await askJson('/topics', { signal });
    const atMs = performance.now();
    const before = rates.current;
    const now = new Map<string, Counted>();
    const topics = itemsIn(answer, 'topics').map((json) => {
      const name = textIn(json, 'topic');
      const accepted = BigInt(textIn(json, 'events') || '0') + BigInt(textIn(json, 'expired') || '0');
      now.set(name, { accepted, atMs });
      const last = before.get(name);
      const rate = last && (Number(accepted - last.accepted) * 1000) / Math.max(1, atMs - last.atMs);
      return { name, json, rate };
    });
    rates.current = now;
    return topics;
  };
}

function sorted(topics: readonly Topic[], wanted: string, order: Order): readonly Topic[] {
  const lower = wanted.toLowerCase();
  const found = lower === '' ? topics : topics.filter(({ name }) => name.toLowerCase().includes(lower));
  // As the service sends them: in the order of their names' bytes.
  if (order === 'name') return found;
  const by = ({ json, rate }: Topic): number => {
    if (order === 'rate') return rate ?? 0;
    return roughly(json, order === 'last' ? 'last_offset' : order) || 0;
  };
  return found.toSorted((a, b) => by(b) - by(a));
}

function orderOf(text: string | null): Order {
  return text !== null && text in ORDERS ? (text as Order) : 'name';
}
