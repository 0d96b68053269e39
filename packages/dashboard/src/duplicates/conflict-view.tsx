import { useState } from 'preact/hooks';
import { type Json, parseExact } from '../json/exact-json.ts';
import { field, textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { Fault } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { Time } from '../parts/time.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { Refusal, ask } from '../service/ask.ts';
import { differencesOf } from './differences.ts';

/** Conflicts, each of which opens to show what was kept beside what was dropped. */
export function ConflictList({ conflicts }: { conflicts: readonly Json[] }) {
  return (
    <ul class="dead">
      {conflicts.map((conflict) => (
        <Conflict key={textIn(conflict, 'number')} conflict={conflict} />
      ))}
    </ul>
  );
}

function Conflict({ conflict }: { conflict: Json }) {
  const [isOpen, open] = useState(false);
  const [topic, id] = [textIn(conflict, 'topic'), textIn(conflict, 'event_id')];
  const page = `lookup?${new URLSearchParams({ topic, id }).toString()}`;
  const publisher = textIn(conflict, 'key');
  return (
    <li>
      <div class="row">
        <span class="grow">
          <PageLink page={page}>
            {topic} / {id}
          </PageLink>
          <br />
          <small>
            <Time iso={textIn(conflict, 'received_at')} />, from {textIn(conflict, 'source')}
            {publisher === '' ? '' : ` with the key ${publisher}`}; kept is the one at offset{' '}
            {textIn(conflict, 'offset')}
          </small>
        </span>
        <button type="button" class="quiet" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
          {isOpen ? 'Close' : 'Compare'}
          <span class="unseen"> the two events {id}</span>
        </button>
      </div>
      {isOpen && <Compared topic={topic} id={id} lost={field(conflict, 'event')} />}
    </li>
  );
}

function Compared({ topic, id, lost }: { topic: string; id: string; lost: Json | undefined }) {
  const path = `/events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}`;
  const { answer, error } = useAsked(path, async (signal) => parseExact((await ask(path, { signal })).text));
  if (lost?.kind !== 'object') return <p>The text of the one that lost is not kept any more.</p>;
  if (error instanceof Refusal && error.code === 'event_expired')
    return <p>The text of the one that was kept has expired.</p>;
  if (error !== undefined) return <Fault error={error} />;
  if (answer === undefined) return <p>Asking the service …</p>;
  return (
    <WideTable label={`Differences of the two events ${id}`} class="compared">
      <thead>
        <tr>
          <th scope="col">Where they differ</th>
          <th scope="col">Kept</th>
          <th scope="col">Dropped</th>
        </tr>
      </thead>
      <tbody>
        {differencesOf(answer, lost).map(({ path: where, kept, dropped }) => (
          <tr key={where}>
            <th scope="row">
              <code>{where}</code>
            </th>
            <td>{kept === undefined ? <i>nothing</i> : <ins>{kept}</ins>}</td>
            <td>{dropped === undefined ? <i>nothing</i> : <del>{dropped}</del>}</td>
          </tr>
        ))}
      </tbody>
    </WideTable>
  );
}
