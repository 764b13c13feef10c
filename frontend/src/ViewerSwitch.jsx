export function ViewerSwitch({ viewers, viewer, onChange }) {
  return (
    <label className="viewer-switch">
      Act as
      <select value={viewer.label} onChange={(event) => onChange(viewers.find(({ label }) => label === event.target.value))}>
        {viewers.map(({ label }) => (
          <option key={label}>{label}</option>
        ))}
      </select>
    </label>
  );
}
