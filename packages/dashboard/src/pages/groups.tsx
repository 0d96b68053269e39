import { useState } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { field, itemsIn, roughly, textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { grouped, samplesBy, spanText } from '@chronicleweaver/vitals';
import { Card, Empty, Fault, Page } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { route } from '../route.ts';
import { SERVICE_URL } from '../service/address.ts';
import { askJson } from '../service/ask.ts';
import { pulse } from '../service/pulse.ts';
import { useWatched } from '../watched.ts';
import { patternsOf } from '../groups/place-choice.tsx';
import { GroupPage } from './group.tsx';
import { NewGroup } from './new-group.tsx';

const EVERY_MS = 3_000;

/** All groups and webhooks; one of them if the address names it. */
export function GroupsPage() {
  const name = useWatched(route).query.get('name');
  return name === null ? <AllGroups /> : <GroupPage key={name} name={name} />;
}

function AllGroups() {
  const { answer, error, again } = useAsked(
    '/subscriptions',
    (signal) => askJson('/subscriptions', { signal }),
    EVERY_MS,
  );
  const [wanted, want] = useState('');
  const groups = itemsIn(answer, 'subscriptions');
  const lower = wanted.toLowerCase();
  const shown = groups
    .filter((group) =>
      `${textIn(group, 'name')} ${patternsOf(group).join(' ')}`.toLowerCase().includes(lower),
    )
    .toSorted((a, b) => roughly(b, 'lag') - roughly(a, 'lag'));
  return (
    <Page
      title="Groups and webhooks"
      lead="A group shares events among workers, each until it is acknowledged; a webhook has them sent. Those that lag most come first."
    >
      <Fault error={error} />
      {answer !== undefined && groups.length === 0 && (
        <Empty
          what="There is no group yet. Make one below, or from a terminal:"
          command={`curl -s -X PUT ${SERVICE_URL}/subscriptions/mailers -H 'content-type: application/json' -d '{
  "topics": ["orders.>"], "start": "earliest"}'`}
        />
      )}
      {groups.length > 0 && (
        <Card>
          <label>
            Search
            <input
              type="search"
              value={wanted}
              spellcheck={false}
              onInput={({ currentTarget: { value } }) => want(value)}
            />
          </label>
          <GroupTable groups={shown} />
        </Card>
      )}
      {answer !== undefined && <NewGroup names={groups.map((group) => textIn(group, 'name'))} made={again} />}
    </Page>
  );
}

function GroupTable({ groups }: { groups: readonly Json[] }) {
  const { metrics } = useWatched(pulse);
  const ages =
    metrics && samplesBy(metrics, 'chronicleweaver_group_oldest_unacknowledged_age_seconds', 'group');
  return (
    <WideTable label="Groups">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Topics</th>
          {['Lag', 'Oldest waits', 'In flight', 'Returned', 'Dead', 'Acknowledged', 'Expired'].map((head) => (
            <th key={head} scope="col" class="number">
              {head}
            </th>
          ))}
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => (
          <GroupRow
            key={textIn(group, 'name')}
            group={group}
            oldS={Number(ages?.get(textIn(group, 'name')))}
          />
        ))}
      </tbody>
    </WideTable>
  );
}

interface GroupRowProps {
  readonly group: Json;
  /** How long its oldest event has waited, seconds; NaN where the key is not told. */
  readonly oldS: number;
}

function GroupRow({ group, oldS }: GroupRowProps) {
  const name = textIn(group, 'name');
  const page = `groups?name=${encodeURIComponent(name)}`;
  const count = (member: string): string => grouped(textIn(group, member)) || '–';
  return (
    <tr>
      <th scope="row">
        <PageLink page={page}>{name}</PageLink>
      </th>
      <td>{patternsOf(group).join(', ')}</td>
      <td class="number">{count('lag')}</td>
      <td class="number">{spanText(oldS)}</td>
      <td class="number">{count('in_flight')}</td>
      <td class="number">{count('returned')}</td>
      <td class={textIn(group, 'dead') === '0' ? 'number' : 'number conflict'}>{count('dead')}</td>
      <td class="number">{count('acknowledged')}</td>
      <td class="number">{count('expired')}</td>
      <td>{stateOf(group)}</td>
    </tr>
  );
}

/** How it stands, in a word or two. */
function stateOf(group: Json): string {
  const push = field(group, 'push');
  if (push !== undefined) return `webhook, ${textIn(push, 'state')}`;
  const isIdle = textIn(group, 'in_flight') === '0' && textIn(group, 'lag') !== '0';
  return isIdle ? 'waits for workers' : 'workers';
}
