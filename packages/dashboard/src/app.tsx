import type { ComponentType } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { KeyPanel } from './key-panel.tsx';
import { Notices } from './notices.tsx';
import { PublishPage } from './pages/publish.tsx';
import { DuplicatesPage } from './pages/duplicates.tsx';
import { GroupsPage } from './pages/groups.tsx';
import { LivePage } from './pages/live.tsx';
import { LookupPage } from './pages/lookup.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { SourcesPage } from './pages/sources.tsx';
import { TopicsPage } from './pages/topics.tsx';
import { PageLink } from './parts/page-link.tsx';
import { route } from './route.ts';
import { tellsDuplicates } from './service/features.ts';
import { THEMES, takeTheme, theme } from './theme.ts';
import { useWatched } from './watched.ts';

/** The pages, in the order of the menu. */
const PAGES: Readonly<Record<string, { readonly title: string; readonly Page: ComponentType }>> = {
  overview: { title: 'Overview', Page: OverviewPage },
  live: { title: 'Live', Page: LivePage },
  topics: { title: 'Topics', Page: TopicsPage },
  groups: { title: 'Groups', Page: GroupsPage },
  sources: { title: 'Sources', Page: SourcesPage },
  duplicates: { title: 'Duplicates', Page: DuplicatesPage },
  lookup: { title: 'Look up', Page: LookupPage },
  publish: { title: 'Publish', Page: PublishPage },
};

/** Everything: the menu, what is to be said on every page, and the page. */
export function App() {
  const { page } = useWatched(route);
  const shown = PAGES[page];
  return (
    <div class="frame">
      <a class="skip" href="#page">
        Skip to the page
      </a>
      <header>
        <PageLink class="brand" page="overview">
          ChronicleWeaver
        </PageLink>
        <Menu page={page} />
        <div class="tools">
          <KeyPanel />
          <ThemeChoice />
        </div>
      </header>
      <main id="page" tabIndex={-1}>
        <Notices />
        {shown === undefined ? <NoSuchPage page={page} /> : <shown.Page key={page} />}
      </main>
    </div>
  );
}

function Menu({ page }: { page: string }) {
  const place = useRef<HTMLElement>(null);
  const hasDuplicates = useWatched(tellsDuplicates);
  const shownPages = Object.entries(PAGES).filter(([name]) => name !== 'duplicates' || hasDuplicates);
  // On a narrow screen the menu is wider than that.
  useEffect(() => {
    const current = place.current?.querySelector<HTMLElement>('[aria-current]');
    if (place.current && current)
      place.current.scrollLeft = current.offsetLeft - place.current.clientWidth / 3;
  }, [page, hasDuplicates]);
  return (
    <nav aria-label="Pages" ref={place}>
      {shownPages.map(([name, { title }]) => (
        <PageLink key={name} page={name} {...(name === page && { 'aria-current': 'page' as const })}>
          {title}
        </PageLink>
      ))}
    </nav>
  );
}

function NoSuchPage({ page }: { page: string }) {
  return (
    <>
      <h1>No such page</h1>
      <p>
        There is no page “{page}” here. <PageLink page="overview">The overview</PageLink> leads to all others.
      </p>
    </>
  );
}

function ThemeChoice() {
  const chosen = useWatched(theme);
  return (
    <label class="theme">
      <span>Theme</span>
      <select
        aria-label="Theme"
        value={chosen}
        onChange={({ currentTarget: { value } }) =>
          takeTheme(THEMES.find((one) => one === value) ?? 'system')
        }
      >
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}
