import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { theme } from '../theme.ts';
import { useWatched } from '../watched.ts';
import { rateText } from '@chronicleweaver/vitals';

interface Line {
  readonly name: string;
  /** The name of a custom property of the style sheet. */
  readonly colour: string;
}

interface Props {
  readonly lines: readonly Line[];
  /** Seconds since 1970, ascending. */
  readonly atS: readonly number[];
  /** For each line its value at each of these times. */
  readonly values: readonly (readonly (number | null)[])[];
  /** From the first to the last second that is shown. */
  readonly fromS: number;
  readonly toS: number;
  /** What is to be seen, for those who cannot see it. */
  readonly label: string;
}

const HEIGHT = 220;
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

/** Lines over time. Chosen values are in the words beside it: the canvas has none for a screen reader. */
export function Chart({ lines, atS, values, fromS, toS, label }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const chosenTheme = useWatched(theme);
  const names = lines.map(({ name }) => name).join();

  useEffect(() => {
    const element = place.current!;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(lines, element), [[]], element);
    };
    draw();
    dark.addEventListener('change', draw);
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resized.observe(element);
    return () => {
      dark.removeEventListener('change', draw);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names, chosenTheme]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData([[...atS], ...values.map((line) => [...line])], false);
      plot.current?.setScale('x', { min: fromS, max: toS });
    });
  });

  return <div class="chart" ref={place} role="img" aria-label={label} />;
}

function optionsFor(lines: readonly Line[], element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  // A canvas knows neither custom properties nor `light-dark()`: an element's own colour is what they come to.
  const colour = (name: string): string => {
    element.style.color = `var(${name})`;
    return style.color;
  };
  const axis = {
    size: 30,
    stroke: colour('--soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth || 600,
    height: HEIGHT,
    // Room for half of the last time below.
    padding: [null, 36, null, null],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true, auto: false }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      { ...axis, space: 90, values: (_, ticks) => ticks.map((tick) => CLOCK.format(tick * 1000)) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => rateText(tick)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.name,
        stroke: colour(line.colour),
        fill: `color-mix(in srgb, ${colour(line.colour)} 12%, transparent)`,
        width: 2,
        points: { show: false },
      })),
    ],
  };
}
