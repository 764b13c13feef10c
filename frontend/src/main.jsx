import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { createRoot } from 'react-dom/client';

import { App } from './App.jsx';
import { whoIsSignedIn } from './session.js';

// Filled in by the server; see gql_server/http/graphiql.py.
const config = { url: '/graphql', title: 'gql-server', headers: {}, tabs: [], viewers: [], ...window.__GQL__ };

document.title = `${config.title} · GraphiQL`;
whoIsSignedIn(config).then((signedIn) => {
  createRoot(document.getElementById('root')).render(<App config={config} signedIn={signedIn} />);
});
