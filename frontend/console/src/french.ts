import client from '@gql-server/client/locales/fr.json';
import quasar from 'quasar/lang/fr.js';

import own from './locales/fr.json';

export { quasar };
export const words = { ...client, ...own };
