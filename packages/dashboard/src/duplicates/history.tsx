import { itemsIn, textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { countOf, grouped } from '@chronicleweaver/vitals';
import { Card, Fault } from '../parts/page.tsx';
import { Time } from '../parts/time.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { Refusal, askJson } from '../service/ask.ts';
import { ConflictList } from './conflict-view.tsx';

/** Conflicts of the topic that are looked through for those of the event. */
const LOOKED_THROUGH = 1000;

/**
 * What became of an event's repeats. Nothing where the service does not tell, does not know the id, or refuses the key: then the
 * event beside it is refused as well, and says why.
 */
export function History({ topic, id }: { topic: string; id: string }) {
  const path = `/events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}/history`;
  const { answer, error } = useAsked(path, (signal) => askJson(path, { signal }));
  if (error instanceof Refusal && [403, 404].includes(error.status)) return null;
  if (error !== undefined) return <Fault error={error} />;
  if (answer === undefined) return null;
  const repeats = itemsIn(answer, 'repeats');
  const duplicates = textIn(answer, 'duplicates');
  return (
    <Card title="Its repeats">
      {duplicates === '0' ? (
        <p>
          None since <Time iso={textIn(answer, 'counted_since')} />: it was published once.
        </p>
      ) : (
        <>
          <p>
            {countOf(duplicates, 'repeat was', 'repeats were')} dropped,{' '}
            {grouped(textIn(answer, 'conflicts'))} of them conflicts, since{' '}
            <Time iso={textIn(answer, 'counted_since')} />. The last of them:
          </p>
          <WideTable label="Its repeats">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Verdict</th>
                <th scope="col">Source</th>
                <th scope="col">Key</th>
              </tr>
            </thead>
            <tbody>
              {repeats.map((repeat, i) => (
                <tr key={i}>
                  <td>
                    <Time iso={textIn(repeat, 'received_at')} />
                  </td>
                  <td class={textIn(repeat, 'verdict')}>{textIn(repeat, 'verdict')}</td>
                  <td>{textIn(repeat, 'source')}</td>
                  <td>{textIn(repeat, 'key') || '–'}</td>
                </tr>
              ))}
            </tbody>
          </WideTable>
        </>
      )}
      {textIn(answer, 'conflicts') !== '0' && <Conflicts topic={topic} id={id} />}
    </Card>
  );
}

function Conflicts({ topic, id }: { topic: string; id: string }) {
  const query = new URLSearchParams({ topic, limit: String(LOOKED_THROUGH) }).toString();
  const { answer, error } = useAsked(query, (signal) => askJson(`/conflicts?${query}`, { signal }));
  if (error !== undefined) return <Fault error={error} />;
  const own = itemsIn(answer, 'conflicts').filter((conflict) => textIn(conflict, 'event_id') === id);
  return (
    <>
      <h2>Its conflicts</h2>
      {answer !== undefined && own.length === 0 && (
        <p>They are not among the last {grouped(String(LOOKED_THROUGH))} of this topic.</p>
      )}
      <ConflictList conflicts={own} />
    </>
  );
}
