import { useState } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { field, textIn } from '../json/fields.ts';
import { PlaceChoice, Preview, patternsOf } from '../groups/place-choice.tsx';
import { type Place, placeText } from '../groups/place.ts';
import { Confirm } from '../parts/confirm.tsx';
import { countOf, grouped } from '@chronicleweaver/vitals';
import { Card } from '../parts/page.tsx';
import { goTo } from '../route.ts';
import { ask } from '../service/ask.ts';

interface Props {
  readonly group: Json;
  readonly path: string;
  readonly changed: () => void;
}

/** What can be done about a group, each with what happens then said first. */
export function GroupActions({ group, path, changed }: Props) {
  return (
    <Card title="What can be done">
      <div class="row">
        <Seek group={group} path={path} changed={changed} />
        <Sending push={field(group, 'push')} path={path} changed={changed} />
        <Delete group={group} path={path} />
      </div>
    </Card>
  );
}

function Seek({ group, path, changed }: Props) {
  const [place, choose] = useState<Place>({ at: 'latest' });
  const seek = async (): Promise<void> => {
    const member = place.at === 'time' ? 'time' : 'offset';
    await ask(`${path}/seek`, { method: 'POST', body: `{"${member}":${placeText(place)}}` });
    changed();
  };
  return (
    <Confirm label="Seek" title={`Have ${textIn(group, 'name')} go on from another place`} act={seek}>
      <PlaceChoice place={place} choose={choose} />
      <Preview place={place} patterns={patternsOf(group)} />
      <ul>
        <li>Every event from there on is delivered, also those that were acknowledged before.</li>
        <li>
          {countOf(textIn(group, 'in_flight'), 'lease ends', 'leases end')}: a worker that acknowledges one is
          told that it is lost.
        </li>
        <li>Dead events below stay dead, and can still be replayed.</li>
      </ul>
    </Confirm>
  );
}

interface SendingProps {
  readonly push: Json | undefined;
  readonly path: string;
  readonly changed: () => void;
}

/** Pause and resume of a webhook. Workers pause by not pulling. */
function Sending({ push, path, changed }: SendingProps) {
  if (push === undefined) return null;
  const post = (what: 'pause' | 'resume') => async (): Promise<void> => {
    await ask(`${path}/${what}`, { method: 'POST' });
    changed();
  };
  const failure = textIn(push, 'last_failure');
  // A service from before pauses on request does not say who paused it, and cannot be asked for one.
  const canPause = field(push, 'paused_by') !== undefined && textIn(push, 'paused_by') !== 'request';
  return (
    <>
      {canPause && (
        <Confirm label="Pause" title="Send nothing until it is resumed" act={post('pause')}>
          <ul>
            <li>
              Events wait in their order, and none is lost. An attempt under way ends by itself, and counts.
            </li>
            <li>It stays paused over restarts and changes of its address, until somebody resumes it.</li>
            <li>Policies wait for this group: what it has not finished is kept meanwhile.</li>
          </ul>
        </Confirm>
      )}
      <Confirm label="Resume" title="Send the waiting event at once" act={post('resume')}>
        <p>
          A pause ends, and so does the wait for the next attempt: the waiting event is sent now. If its
          target still fails, it is tried again as before.
        </p>
        {failure !== '' && (
          <p>
            The last failure was: <code>{failure}</code>
          </p>
        )}
      </Confirm>
    </>
  );
}

function Delete({ group, path }: { group: Json; path: string }) {
  const name = textIn(group, 'name');
  const count = (member: string): string => grouped(textIn(group, member));
  const remove = async (): Promise<void> => {
    await ask(path, { method: 'DELETE' });
    goTo('groups');
  };
  return (
    <Confirm label="Delete" title={`Delete ${name}`} isDanger act={remove}>
      <ul>
        <li>
          Its place is forgotten: {countOf(textIn(group, 'lag'), 'event', 'events')} that it has not finished,{' '}
          {count('dead')} dead and {count('in_flight')} leased. This cannot be undone.
        </li>
        <li>The events themselves stay in the log, and other groups are not touched.</li>
        <li>Workers that wait for events are told that the group does not exist.</li>
        <li>Policies that waited for this group may let go of events now.</li>
      </ul>
    </Confirm>
  );
}
