import {
  countOf,
  grouped,
  rateText,
  sampleText,
  sampleValue,
  secondsText,
  sizeText,
  spanText,
  troublesIn,
} from '@chronicleweaver/vitals';
import { roughly, textIn } from '../json/fields.ts';
import { Chart } from '../parts/chart.tsx';
import { Card, Empty, Fault, Page } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { SERVICE_URL } from '../service/address.ts';
import { type Pulse, REMEMBERED_MS, pulse } from '../service/pulse.ts';
import { useWatched } from '../watched.ts';
import { LaggingGroups } from './lagging-groups.tsx';

/** The time that a figure of the present is the mean of, milliseconds. */
const NOW_MS = 5_000;
const MINUTE_MS = 60_000;
/** A thousand groups may each be in trouble. */
const TROUBLES_SHOWN = 20;

export function OverviewPage() {
  const seen = useWatched(pulse);
  return (
    <Page title="Overview" lead="What comes in, how long it takes, and what is wrong now.">
      {seen.refused !== undefined && seen.stats === undefined ? (
        <Fault
          error={
            new Error(`${seen.refused}. Publish may still work with this key; the counts take another one`)
          }
        />
      ) : (
        <Seen seen={seen} />
      )}
    </Page>
  );
}

function Seen({ seen }: { seen: Pulse }) {
  if (seen.stats === undefined) return <p aria-live="polite">Asking the service …</p>;
  const isEmpty = textIn(seen.stats, 'unique_processed') === '0';
  return (
    <>
      <Troubles seen={seen} />
      {isEmpty && (
        <Empty
          what={
            <>
              No event is stored yet. <PageLink page="publish">Publish one here</PageLink>, or from a
              terminal:
            </>
          }
          command={`curl -s '${SERVICE_URL}/publish?results=true' -H 'content-type: application/json' -d '{
  "event_id": "order-1-placed", "topic": "orders", "source": "shop",
  "payload": {"message": "order placed", "amount": 12.5}, "timestamp": "2025-10-28T10:00:00Z"}'`}
        />
      )}
      <RatesChart seen={seen} />
      <Figures seen={seen} />
      <LaggingGroups metrics={seen.metrics} />
    </>
  );
}

function Troubles({ seen }: { seen: Pulse }) {
  const { metrics, course } = seen;
  const troubles = troublesIn({
    metrics,
    refusals: course.refusals,
    conflictRate: course.mean('conflict') ?? 0,
  });
  return (
    <Card title="What is wrong now">
      {/* The figures in the words change with every look; only this is read out. */}
      <p class="unseen" role="status">
        {countOf(String(troubles.length), 'thing needs', 'things need')} a look
      </p>
      <div>
        {troubles.length === 0 ? (
          <p class="fine">
            Nothing that the service could tell.
            {metrics === undefined && ' This key has topics, so it is not told of the whole service.'}
          </p>
        ) : (
          <ul class="troubles">
            {troubles.slice(0, TROUBLES_SHOWN).map(({ is, what, todo, page }) => (
              <li key={what} class={is === 'bad' ? 'bad' : 'look'}>
                <strong>{is === 'bad' ? 'Bad: ' : 'Worth a look: '}</strong>
                {what} <span class="todo">{todo}</span>{' '}
                {page !== undefined && <PageLink page={page}>Show</PageLink>}
              </li>
            ))}
          </ul>
        )}
        {troubles.length > TROUBLES_SHOWN && (
          <p>And {countOf(String(troubles.length - TROUBLES_SHOWN), 'more', 'more')}.</p>
        )}
      </div>
    </Card>
  );
}

const LINES = [
  { name: 'accepted', colour: '--accepted' },
  { name: 'duplicate', colour: '--duplicate' },
  { name: 'conflict', colour: '--conflict' },
] as const;

function RatesChart({ seen }: { seen: Pulse }) {
  const { course } = seen;
  const { rates } = course;
  const toS = (rates.at(-1)?.atMs ?? Date.now()) / 1000;
  const known = LINES.filter(({ name }) => rates.at(-1)?.[name] !== undefined);
  const lines = known.length === 0 ? LINES : known;
  const said = lines.map(({ name }) => `${name} ${rateText(course.mean(name, NOW_MS))}`).join(', ');
  return (
    <Card title="Events per second">
      <ul class="legend">
        {lines.map(({ name, colour }) => (
          <li key={name}>
            <span class="swatch" style={{ background: `var(${colour})` }} />
            {name} <b>{rateText(course.mean(name, NOW_MS))}</b>
          </li>
        ))}
      </ul>
      <Chart
        lines={lines}
        atS={rates.map(({ atMs }) => atMs / 1000)}
        values={lines.map(({ name }) => rates.map((one) => one[name] ?? null))}
        fromS={Math.min(toS - 60, (rates[0]?.atMs ?? 0) / 1000)}
        toS={toS}
        label={`Events per second over the last ${REMEMBERED_MS / MINUTE_MS} minutes; now ${said}`}
      />
      <p class="hint">Since this tab was opened, for up to {REMEMBERED_MS / MINUTE_MS} minutes.</p>
    </Card>
  );
}

function Figures({ seen: { stats, metrics, course } }: { seen: Pulse }) {
  const text = (name: string): string => grouped(textIn(stats, name)) || '–';
  const metric = (name: string): string =>
    (metrics && grouped(sampleText(metrics, `chronicleweaver_${name}`))) || '–';
  const of = (verdict: string, name: string): string =>
    (metrics && grouped(sampleText(metrics, 'chronicleweaver_store_events_total', { verdict }))) ||
    text(name);
  const bytes = metrics
    ? sampleValue(metrics, 'chronicleweaver_store_bytes')
    : roughly(stats, 'stored_bytes');
  const figures: [name: string, value: string, more: string][] = [
    ['Accepted', of('accepted', 'unique_processed'), 'of all time, each once'],
    ['Duplicates', metrics ? of('duplicate', '') : '–', 'dropped, of all time'],
    ['Conflicts', of('conflict', 'conflicts'), 'dropped, of all time'],
    ['Commit, median', secondsText(course.commitSeconds(0.5)), 'of the last minute'],
    ['Commit, 99 %', secondsText(course.commitSeconds(0.99)), 'of the last minute'],
    ['On disk', sizeText(bytes), `${text('stored')} events kept, ${text('expired')} expired`],
    ['Followers', metrics ? metric('followers') : text('followers'), 'live streams, of this instance'],
    ['Queue', metrics ? metric('queue_events') : text('queued_events'), 'events that wait for their commit'],
    ['Last offset', metrics ? metric('store_last_offset') : text('last_offset'), 'the end of the log'],
    ['Running for', spanText(roughly(stats, 'uptime')), `${text('store')} ${textIn(stats, 'store_version')}`],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value, more]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <span>{value}</span>
            <small>{more}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}
