import { GraphiQL } from 'graphiql';
import { useMemo, useState } from 'react';

import { createFetcher } from './fetcher.js';
import icon from './icon.svg';
import { SignedIn } from './SignedIn.jsx';
import { rememberViewer, storedViewer } from './viewer.js';
import { ViewerSwitch } from './ViewerSwitch.jsx';

const NO_PLUGINS = []; // the history plugin would keep the headers, and with them a token, in localStorage

export function App({ config, signedIn }) {
  const [viewer, setViewer] = useState(() => storedViewer(config.viewers));
  const [person, setPerson] = useState(signedIn);
  const fetcher = useMemo(() => createFetcher(config, viewer, () => setPerson(null)), [config, viewer]);

  function actAs(next) {
    rememberViewer(next);
    setViewer(next);
  }

  return (
    // A new key per viewer: nothing that the last one was shown, and no stream of theirs, stays on the page.
    <GraphiQL
      key={viewer?.label}
      fetcher={fetcher}
      defaultTabs={config.tabs.length > 0 ? config.tabs : undefined}
      defaultEditorToolsVisibility="variables"
      shouldPersistHeaders={false}
      plugins={NO_PLUGINS}
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <div className="masthead">
          {viewer && <ViewerSwitch viewers={config.viewers} viewer={viewer} onChange={actAs} />}
          {config.signIn && <SignedIn config={config} person={person} />}
          <img src={icon} alt="" />
          <span className="masthead-title">{config.title}</span>
        </div>
      </GraphiQL.Logo>
    </GraphiQL>
  );
}
