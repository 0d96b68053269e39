import { useRef } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { field, roughly, textIn } from '../json/fields.ts';
import { patternsOf } from '../groups/place-choice.tsx';
import { useAsked } from '../parts/asked.ts';
import { Chart } from '../parts/chart.tsx';
import { grouped } from '@chronicleweaver/vitals';
import { Card, Fault, Page } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { Time } from '../parts/time.tsx';
import { Refusal, askJson } from '../service/ask.ts';
import { DeadEvents } from './dead-events.tsx';
import { GroupActions } from './group-actions.tsx';

const EVERY_MS = 2_000;
const REMEMBERED_MS = 15 * 60_000;

interface Books {
  readonly atMs: number;
  readonly lag: number;
  readonly inFlight: number;
}

/** One group: its books, its lag over time, its dead events, and what can be done about it. */
export function GroupPage({ name }: { name: string }) {
  const path = `/subscriptions/${encodeURIComponent(name)}`;
  const course = useRef<Books[]>([]);
  const { answer, error, again } = useAsked(
    path,
    async (signal) => {
      const group = await askJson(path, { signal });
      const now = { atMs: Date.now(), lag: roughly(group, 'lag'), inFlight: roughly(group, 'in_flight') };
      course.current = [...course.current.filter(({ atMs }) => now.atMs - atMs < REMEMBERED_MS), now];
      return group;
    },
    EVERY_MS,
  );
  const isGone = error instanceof Refusal && error.code === 'subscription_not_found';
  return (
    <Page title={name} lead={field(answer, 'push') === undefined ? 'A group of workers.' : 'A webhook.'}>
      <p>
        <PageLink page="groups">All groups</PageLink>
      </p>
      {isGone ? <p>There is no group {name}, or this key may not see it.</p> : <Fault error={error} />}
      {answer !== undefined && !isGone && (
        <>
          <Figures group={answer} />
          <Lag course={course.current} />
          <Webhook push={field(answer, 'push')} />
          <GroupActions group={answer} path={path} changed={again} />
          <DeadEvents path={path} count={textIn(answer, 'dead')} changed={again} />
          <Definition group={answer} />
        </>
      )}
    </Page>
  );
}

const FIGURES: readonly (readonly [member: string, name: string, more: string])[] = [
  ['lag', 'Lag', 'events neither acknowledged nor dead'],
  ['in_flight', 'In flight', 'of these, leased to a worker'],
  ['returned', 'Returned', 'of these, to be delivered again'],
  ['dead', 'Dead', 'delivered as often as allowed'],
  ['acknowledged', 'Acknowledged', 'of all time'],
  ['deliveries', 'Deliveries', 'of all time'],
  ['redeliveries', 'Redeliveries', 'not the first of their event'],
  ['expired', 'Expired', 'gone before the group had finished them'],
];

function Figures({ group }: { group: Json }) {
  return (
    <dl class="figures">
      {FIGURES.map(([member, name, more]) => (
        <div key={member}>
          <dt>{name}</dt>
          <dd>
            <span>{grouped(textIn(group, member)) || '–'}</span>
            <small>{more}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const LINES = [
  { name: 'lag', colour: '--conflict' },
  { name: 'in flight', colour: '--duplicate' },
];

function Lag({ course }: { course: readonly Books[] }) {
  const last = course.at(-1);
  if (last === undefined) return null;
  const toS = last.atMs / 1000;
  return (
    <Card title="Lag over time">
      <ul class="legend">
        {LINES.map(({ name, colour }) => (
          <li key={name}>
            <span class="swatch" style={{ background: `var(${colour})` }} /> {name}
          </li>
        ))}
      </ul>
      <Chart
        lines={LINES}
        atS={course.map(({ atMs }) => atMs / 1000)}
        values={[course.map(({ lag }) => lag), course.map(({ inFlight }) => inFlight)]}
        fromS={Math.min(toS - 60, course[0]!.atMs / 1000)}
        toS={toS}
        label={`Lag since this page was opened; now ${last.lag}, of which ${last.inFlight} are in flight`}
      />
    </Card>
  );
}

function Webhook({ push }: { push: Json | undefined }) {
  if (push === undefined) return null;
  const state = textIn(push, 'state');
  return (
    <Card title="Webhook">
      <dl class="pairs">
        <dt>Address</dt>
        <dd>{textIn(push, 'url')}</dd>
        <dt>State</dt>
        <dd class={state === 'active' ? 'accepted' : 'conflict'}>
          {state}
          {BY[textIn(push, 'paused_by')]}
        </dd>
        <dt>Failing since</dt>
        <dd>
          <Time iso={textIn(push, 'failing_since')} />
        </dd>
        <dt>Last failure</dt>
        <dd>{textIn(push, 'last_failure') || '–'}</dd>
      </dl>
    </Card>
  );
}

/** Who paused it. */
const BY: Readonly<Record<string, string>> = {
  request: ', because somebody asked for it',
  failures: ', after a day of failures or because its target is gone',
};

function Definition({ group }: { group: Json }) {
  return (
    <Card title="Definition">
      <dl class="pairs">
        <dt>Topics</dt>
        <dd>{patternsOf(group).join(', ')}</dd>
        <dt>Started from</dt>
        <dd>{textIn(group, 'start')}</dd>
        <dt>Cursor</dt>
        <dd>{textIn(group, 'cursor')}</dd>
        <dt>A lease lasts</dt>
        <dd>{grouped(textIn(group, 'lease_ms'))} ms</dd>
        <dt>Deliveries at most</dt>
        <dd>{textIn(group, 'max_deliveries')}</dd>
        <dt>Made</dt>
        <dd>
          <Time iso={textIn(group, 'created_at')} />
        </dd>
      </dl>
    </Card>
  );
}
