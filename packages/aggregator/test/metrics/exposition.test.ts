import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Exposition, formatFor, labels } from '../../src/metrics/exposition.ts';
import { Counter, Histogram } from '../../src/metrics/instruments.ts';

function pageIn(format: 'prometheus' | 'openmetrics'): string {
  const out = new Exposition(format);
  const codes = new Counter('code', ['a']);
  codes.add('b', 2);
  out.counter('x_refusals_total', 'Refusals.', codes);
  const times = new Histogram([0.5, 1]);
  for (const value of [0.25, 0.5, 0.75, 8]) times.observe(value);
  out.histogram('x_time_seconds', 'Times.', times);
  out.gauge('x_bytes', 'Bytes.', 1e21);
  return out.end();
}

const SAMPLES = `x_refusals_total{code="a"} 0
x_refusals_total{code="b"} 2
# HELP x_time_seconds Times.
# TYPE x_time_seconds histogram
x_time_seconds_bucket{le="0.5"} 2
x_time_seconds_bucket{le="1.0"} 3
x_time_seconds_bucket{le="+Inf"} 4
x_time_seconds_sum 9.5
x_time_seconds_count 4
# HELP x_bytes Bytes.
# TYPE x_bytes gauge
x_bytes 1e+21
`;

test('both formats have the same series; OpenMetrics names families of counters without _total, and has an end [MET-1]', () => {
  const text = '# HELP x_refusals_total Refusals.\n# TYPE x_refusals_total counter\n';
  assert.equal(pageIn('prometheus'), text + SAMPLES);
  const open = '# HELP x_refusals Refusals.\n# TYPE x_refusals counter\n';
  assert.equal(pageIn('openmetrics'), `${open}${SAMPLES}# EOF\n`);
});

test('a label may have any text', () => {
  assert.equal(labels({ topics: 'a"b\\n\n' }), String.raw`{topics="a\"b\\n\n"}`);
});

test('infinite values and none are written as both formats want them', () => {
  const out = new Exposition('prometheus');
  for (const value of [Infinity, -Infinity, NaN]) out.gauge('x', 'X.', value);
  const values = [...out.end().matchAll(/^x (.*)$/gm)].map(([, value]) => value);
  assert.deepEqual(values, ['+Inf', '-Inf', 'NaN']);
});

test('whoever prefers OpenMetrics gets it, everybody else the text that people read [MET-1]', () => {
  for (const [accept, format] of [
    [undefined, 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/html,*/*;q=0.8', 'prometheus'],
    ['application/openmetrics-text', 'openmetrics'],
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'openmetrics',
    ],
    ['Application/OpenMetrics-Text; q=0.3, text/plain; q=0.4', 'prometheus'],
    ['application/openmetrics-text;q=0', 'prometheus'],
    ['application/openmetrics-text;q=x', 'prometheus'],
  ] as const) {
    assert.equal(formatFor(accept), format, `${accept}`);
  }
});
