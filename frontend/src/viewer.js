const KEY = 'gql-server:viewer';

export function storedViewer(viewers) {
  const label = sessionStorage.getItem(KEY);
  return viewers.find((viewer) => viewer.label === label) ?? viewers[0];
}

// By label only: the token stays in the page's memory.
export function rememberViewer({ label }) {
  sessionStorage.setItem(KEY, label);
}
