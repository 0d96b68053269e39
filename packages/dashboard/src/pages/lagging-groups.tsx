import { type Exposition, grouped, sampleText, sampleValue, spanText } from '@chronicleweaver/vitals';
import { Card } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { WideTable } from '../parts/wide-table.tsx';

/** So many are shown; the page of groups has all. */
const SHOWN = 8;

/** The groups for which most events wait. */
export function LaggingGroups({ metrics }: { metrics: Exposition | undefined }) {
  const groups = (metrics?.get('chronicleweaver_group_lag_events') ?? [])
    .map(({ labels, text }) => ({ name: labels.get('group') ?? '', lag: text }))
    .toSorted((a, b) => Number(b.lag) - Number(a.lag));
  if (metrics === undefined || groups.length === 0) return null;
  const lagging = groups.filter(({ lag }) => lag !== '0').slice(0, SHOWN);
  return (
    <Card title="Groups that lag">
      {lagging.length === 0 ? (
        <p class="fine">None of {groups.length}: every event has been acknowledged.</p>
      ) : (
        <WideTable label="Groups that lag">
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col" class="number">
                Lag, events
              </th>
              <th scope="col" class="number">
                In flight
              </th>
              <th scope="col" class="number">
                Oldest waits
              </th>
            </tr>
          </thead>
          <tbody>
            {lagging.map(({ name, lag }) => (
              <Row key={name} metrics={metrics} name={name} lag={lag} />
            ))}
          </tbody>
        </WideTable>
      )}
    </Card>
  );
}

function Row({ metrics, name, lag }: { metrics: Exposition; name: string; lag: string }) {
  const page = `groups?name=${encodeURIComponent(name)}`;
  const inFlight = sampleText(metrics, 'chronicleweaver_group_in_flight_events', { group: name });
  const ageS = sampleValue(metrics, 'chronicleweaver_group_oldest_unacknowledged_age_seconds', {
    group: name,
  });
  return (
    <tr>
      <th scope="row">
        <PageLink page={page}>{name}</PageLink>
      </th>
      <td class="number">{grouped(lag)}</td>
      <td class="number">{grouped(inFlight)}</td>
      <td class="number">{spanText(ageS)}</td>
    </tr>
  );
}
