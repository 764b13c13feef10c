import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';

import { createRoot } from 'react-dom/client';

import { App } from './App.jsx';

// Filled in by the server; see gql_server/http/graphiql.py.
const config = { url: '/graphql', title: 'gql-server', headers: {}, tabs: [], viewers: [], ...window.__GQL__ };

document.title = `${config.title} · GraphiQL`;
createRoot(document.getElementById('root')).render(<App config={config} />);
