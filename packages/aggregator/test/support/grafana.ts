import { parse } from 'yaml';
import { textOf } from '../../../../lab/repository.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
}

/** What the dashboard asks Prometheus. */
export function expressionsIn(): string[] {
  const { panels } = JSON.parse(textOf('docs/grafana/dashboard.json')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

export function alertsIn(): Alert[] {
  const { groups } = parse(textOf('docs/grafana/alerts.yml')) as { groups: { rules: Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
}
