import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props {
  readonly count: number;
  /** Of each row, pixels. */
  readonly rowHeight: number;
  readonly row: (place: number) => ComponentChildren;
  readonly label: string;
  /** How many rows were ever added before the first one: the reader who has scrolled keeps seeing the same ones. */
  readonly added?: number;
}

/** Rows drawn beyond both ends of what is seen. */
const BEYOND = 8;

/** A list of any length, of which only the rows that can be seen are drawn. */
export function VirtualList({ count, rowHeight, row, label, added = 0 }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const seen = useRef(added);
  const [top, scrolledTo] = useState(0);
  const [height, measured] = useState(600);

  useEffect(() => {
    const element = place.current!;
    const resized = new ResizeObserver(() => measured(element.clientHeight));
    resized.observe(element);
    return () => resized.disconnect();
  }, []);

  useLayoutEffect(() => {
    const element = place.current!;
    if (element.scrollTop > 0 && added > seen.current)
      element.scrollTop += (added - seen.current) * rowHeight;
    seen.current = added;
  }, [added, rowHeight]);

  const first = Math.max(0, Math.floor(top / rowHeight) - BEYOND);
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + BEYOND);
  const rows = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
  return (
    <div
      class="virtual"
      ref={place}
      tabIndex={0}
      role="group"
      aria-label={label}
      onScroll={({ currentTarget }) => scrolledTo(currentTarget.scrollTop)}
    >
      <ul style={{ height: `${count * rowHeight}px` }}>
        {rows.map((one) => (
          <li
            key={one}
            style={{ top: `${one * rowHeight}px`, height: `${rowHeight}px` }}
            aria-setsize={count}
            aria-posinset={one + 1}
          >
            {row(one)}
          </li>
        ))}
      </ul>
    </div>
  );
}
