def test_dvc_is_found_where_prefect_puts_the_folder_of_flows_first() -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path[:0] = [{str(root / 'flows')!r}, {str(root)!r}]; import flows.dvc; from dvc import schema"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
